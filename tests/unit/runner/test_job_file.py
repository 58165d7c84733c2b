"""An explicit list of jobs: read in order, and each mistake with its line."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadInput
from engine.runner.job_file import load_jobs
from engine.schema.job import Job

GOOD = '{"profile": "p1", "task": "travel", "scenario": 11}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.jsonl"


def line(**changes: object) -> str:
    return json.dumps({"profile": "p1", "task": "travel", "scenario": 11} | changes)


def test_jobs_are_read_in_the_order_of_the_file(path: Path) -> None:
    path.write_text(f"\n{line(repeat=2, opener='assistant')}\r\n\n   \n{GOOD}")
    assert load_jobs(path) == (Job("travel", 11, "p1", 2, "assistant"), Job("travel", 11, "p1"))


MISTAKES: dict[str, tuple[str, str]] = {
    "not JSON": ("{", "the line"),
    "a list": ("[1]", "the line"),
    "no task": ('{"profile": "p1", "scenario": 1}', "task"),
    "an unknown key": (line(repeats=2), "repeats"),
    "a number as text": (line(scenario="11"), "scenario"),
    "a negative number": (line(scenario=-1), "scenario"),
    "a number beyond any template": (line(scenario=2**31), "scenario"),
    "a repeat beyond counting": (line(repeat=10**30), "repeat"),
    "a boolean": (line(repeat=True), "repeat"),
    "an unknown opener": (line(opener="both"), "opener"),
    "a task that is none": (line(task="Travel"), "task"),
    "a task that leaves": (line(task="../travel"), "task"),
    "a profile that leaves": (line(profile="../p1"), "profile"),
    "a profile with a line break": (line(profile="p1\n"), "profile"),
    "an empty profile": (line(profile=""), "profile"),
    "a lone surrogate": ('{"profile": "\\ud800", "task": "travel", "scenario": 1}', ""),
    "nesting without end": ("[" * 5000, "the line"),
}


@pytest.mark.parametrize(("text", "where"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_with_file_line_and_field(path: Path, text: str, where: str) -> None:
    path.write_text(f"{GOOD}\n\n{text}\n")
    with pytest.raises(BadInput) as caught:
        load_jobs(path)
    assert str(caught.value).startswith(f"{path}, line 3: {where}")
    assert '{"profile": "p001", "task": "travel", "scenario": 11}' in str(caught.value)


def test_a_job_that_stands_twice_is_named_with_both_lines(path: Path) -> None:
    path.write_text(f"{GOOD}\n{line(repeat=1)}\n{line(opener='user')}\n")
    with pytest.raises(BadInput, match="line 3: job travel-11-p1-0 stands already in line 1"):
        load_jobs(path)


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_a_file_without_a_job_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(BadInput, match="holds no job"):
        load_jobs(path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(BadInput, match="cannot be read"):
            load_jobs(path)


@given(
    st.binary(max_size=80)
    | st.lists(st.just(GOOD) | st.text(max_size=20)).map(lambda t: "\n".join(t).encode())
)
def test_arbitrary_bytes_raise_only_bad_input(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "jobs.jsonl"
    path.write_bytes(body)
    with suppress(BadInput):
        jobs = load_jobs(path)
        assert len({job.job_id for job in jobs}) == len(jobs) > 0
