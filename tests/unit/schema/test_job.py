"""A job's id names the job, whatever plan it stands in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.schema.job import BEHAVIOUR_PATTERN, PROFILE_ID_PATTERN, TASK_PATTERN, Job

JOBS = st.builds(
    Job,
    st.from_regex(TASK_PATTERN, fullmatch=True),
    st.integers(0, 10**6),
    st.from_regex(PROFILE_ID_PATTERN, fullmatch=True),
    st.integers(0, 10**4),
    opener=st.none(),
    cell=st.just(""),
    behaviour=st.just("") | st.from_regex(BEHAVIOUR_PATTERN, fullmatch=True),
)


@given(JOBS)
def test_an_id_gives_its_job_back(job: Job) -> None:
    assert Job.parse(job.job_id) == job


@given(JOBS, JOBS)
def test_different_jobs_have_different_ids(one: Job, other: Job) -> None:
    assert (one.job_id == other.job_id) == (one == other)


@given(JOBS)
def test_an_id_stays_in_its_folder_and_needs_no_escaping(job: Job) -> None:
    assert job.job_id.isascii()
    assert not set(job.job_id) & set('/\\" \n\0:')


def test_dashes_and_digits_in_a_profiles_id_are_no_boundary() -> None:
    job = Job("travel", 3, "p-1-2", 4)
    assert job.job_id == "travel-3-p-1-2-4"
    assert Job.parse(job.job_id) == job


def test_the_opener_is_no_part_of_the_id() -> None:
    assert Job("travel", 3, "p", 0, "assistant").job_id == Job("travel", 3, "p").job_id


@pytest.mark.parametrize("text", ["", "travel", "travel-3", "travel-x-p-0", "travel-3-p-x", "travel-3-p"])
def test_what_is_no_id_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        Job.parse(text)
