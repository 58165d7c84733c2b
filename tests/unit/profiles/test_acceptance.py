"""Acceptance: in order, by what came before, and never more than is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from engine.profiles.acceptance import Acceptance
from engine.profiles.reading import Read, Unread
from engine.profiles.regions import Target
from engine.profiles.session import Answer
from engine.schema.profile import Profile


def answer(*profiles: Mapping[str, str], step: str = "batch-1", attempt: int = 0) -> Answer:
    return Answer(step, attempt, Read(tuple(profiles)))


def people(first: int, count: int, **values: str) -> list[dict[str, str]]:
    return [
        {"gender": "Female", "likes": f"a{i} b{i} c{i} d{i}", **values} for i in range(first, first + count)
    ]


def accept(
    wanted: int, sessions: Sequence[Sequence[Answer]], target: Target | None = None
) -> tuple[Acceptance, list[Profile]]:
    kept: list[Profile] = []
    acceptance = Acceptance(
        wanted, kept.append, asked_per_session=10, provenance={"model": "m"}, target=target
    )
    for number, answers in enumerate(sessions, 1):
        acceptance.take_session(f"session-{number}", answers)
    return acceptance, kept


def test_each_profile_says_where_it_was_said() -> None:
    _, kept = accept(3, [[answer(*people(0, 2)), answer(*people(5, 2), step="batch-2", attempt=1)]])
    assert [(p.profile_id, p.provenance["from"]) for p in kept] == [
        ("g000001", "session-1/batch-1/1"),
        ("g000002", "session-1/batch-1/2"),
        ("g000003", "session-1/batch-2.1/1"),
    ]


def test_what_was_there_before_is_rejected_and_named() -> None:
    near = {"gender": "Female", "likes": "a0 b0 c0 d0 e0"}
    acceptance, kept = accept(9, [[answer(*people(0, 2), people(0, 1)[0], near)]])
    assert len(kept) == 2
    assert acceptance.counts.rejected == {"duplicate": 1, "near_duplicate": 1}
    assert {each.like for each in acceptance.rejected} == {"g000001"}


def test_an_example_handed_back_is_no_new_person() -> None:
    kept: list[Profile] = []
    acceptance = Acceptance(
        5, kept.append, asked_per_session=10, provenance={"model": "m"}, examples=people(3, 1)
    )
    acceptance.take_session("session-1", [answer(*people(2, 2))])
    assert (len(kept), [each.like for each in acceptance.rejected]) == (1, ["example 1"])


def test_what_comes_after_the_last_wanted_one_is_not_looked_at() -> None:
    acceptance, kept = accept(3, [[answer(*people(0, 5))], [answer(*people(10, 5))]])
    assert (len(kept), acceptance.counts.read, acceptance.counts.sessions) == (3, 3, 1)


@given(st.lists(st.integers(0, 6), max_size=12), st.integers(1, 12))
def test_a_smaller_pool_is_the_beginning_of_a_larger_one(sizes: list[int], wanted: int) -> None:
    sessions = [[answer(*people(3 * i, size))] for i, size in enumerate(sizes)]
    _, few = accept(wanted, sessions)
    _, many = accept(2 * wanted, sessions)
    assert many[: len(few)] == few
    assert len(few) == min(wanted, len(many))


def test_no_more_of_a_category_than_its_share() -> None:
    target = Target({"gender": {"Female": 0.5, "Male": 0.5}})
    men = people(50, 4, gender="male")
    acceptance, kept = accept(4, [[answer(*people(0, 4), *people(20, 1, gender="?"), *men)]], target)
    assert [profile.aspects["gender"] for profile in kept] == ["Female", "Female", "male", "male"]
    assert acceptance.counts.rejected == {"over_target": 2, "not_in_target": 1}
    assert acceptance.is_closed({"gender": "Female"})


def test_sessions_that_bring_nothing_new_end_it_with_a_reason() -> None:
    sessions = [[answer(*people(0, 10))]] * 30
    acceptance, kept = accept(100, sessions)
    assert len(kept) == 10
    assert acceptance.gave_up is not None
    assert "brought 0 new ones" in acceptance.gave_up
    assert acceptance.counts.sessions == 11


def test_what_is_unread_is_kept_with_its_place() -> None:
    unread = Read((), (Unread("refused", "", "no"),), frozenset({"fence"}))
    acceptance, _ = accept(1, [[Answer("batch-1", 2, unread)]])
    assert acceptance.unread == [("session-1/batch-1.2", Unread("refused", "", "no"))]
    assert acceptance.counts.tolerated == {"fence": 1}
