"""The growing request: its digest and its bytes follow from its messages alone."""

from __future__ import annotations

import json
from itertools import pairwise

import xxhash
from hypothesis import given
from hypothesis import strategies as st

from engine.wire.message_log import MessageLog, Utterances

ROLES = st.sampled_from(["system", "user", "assistant"])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
MESSAGE = st.tuples(ROLES, TEXT)
MESSAGES = st.lists(MESSAGE, max_size=8)


def log_of(messages: list[tuple[str, str]]) -> MessageLog:
    log = MessageLog()
    log.extend(messages)
    return log


def state(log: MessageLog) -> tuple[bytes, bytes, int, int]:
    return log.body(), log.digest(), log.size, len(log)


@given(MESSAGES, st.lists(st.integers(0, 8), max_size=4))
def test_how_the_messages_came_in_leaves_no_trace(messages: list[tuple[str, str]], cuts: list[int]) -> None:
    log = MessageLog()
    bounds = [0, *sorted(min(cut, len(messages)) for cut in cuts), len(messages)]
    for start, end in pairwise(bounds):
        log.extend(messages[start:end])
    assert state(log) == state(log_of(messages))


@given(MESSAGES, MESSAGES)
def test_different_messages_have_different_digests(
    one: list[tuple[str, str]], other: list[tuple[str, str]]
) -> None:
    assert (log_of(one).digest() == log_of(other).digest()) == (one == other)


def test_a_boundary_between_messages_cannot_be_moved_unseen() -> None:
    inside = '"},{"role":"user","content":"'
    assert log_of([("user", f"a{inside}b")]).digest() != log_of([("user", "a"), ("user", "b")]).digest()


@given(MESSAGES, MESSAGES, MESSAGES)
def test_a_fork_goes_its_own_way(
    start: list[tuple[str, str]], on: list[tuple[str, str]], later: list[tuple[str, str]]
) -> None:
    log = log_of(start)
    fork = log.fork(on)
    assert state(log) == state(log_of(start))
    assert state(fork) == state(log_of(start + on))
    log.extend(later)
    assert state(fork) == state(log_of(start + on))
    fork.extend(later)
    assert state(log) == state(log_of(start + later))


@given(MESSAGES, MESSAGES)
def test_what_was_sent_stays_the_prefix_of_what_is_sent(
    start: list[tuple[str, str]], on: list[tuple[str, str]]
) -> None:
    log = log_of(start)
    before = log.body()
    log.extend(on)
    assert log.body().startswith(before)


@given(MESSAGES)
def test_the_body_is_json_and_its_size_is_known(messages: list[tuple[str, str]]) -> None:
    log = log_of(messages)
    assert json.loads(b"[%s]" % log.body()) == [{"role": r, "content": c} for r, c in messages]
    assert log.size == len(log.body())
    assert len(log) == len(messages)
    assert len(log.digest()) == 16


@given(MESSAGES)
def test_the_digest_is_that_of_the_body(messages: list[tuple[str, str]]) -> None:
    log = log_of(messages)
    assert log.digest() == xxhash.xxh3_128_digest(log.body())


def test_asking_for_the_digest_does_not_change_it() -> None:
    log = log_of([("user", "a")])
    assert log.digest() == log.digest()
    assert repr(log) == "MessageLog(1 messages, 29 bytes)"


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=8), st.text(max_size=4)
)
def test_sides_that_share_what_is_said_send_what_they_would_alone(said: list[str], ending: str) -> None:
    ending = ending.encode("utf-8", "ignore").decode()
    shared = Utterances(ending)
    with_ending, without = MessageLog(shared), MessageLog(shared)
    for text in said:
        with_ending.extend([("user", text + ending)])
        without.extend([("assistant", text)])
    assert state(with_ending) == state(log_of([("user", text + ending) for text in said]))
    assert state(without) == state(log_of([("assistant", text) for text in said]))


def test_both_sides_hold_the_same_bytes() -> None:
    shared = Utterances("\n\nend?")
    one, other = MessageLog(shared), MessageLog(shared)
    one.extend([("user", "x" * 1000 + "\n\nend?")])
    other.extend([("assistant", "x" * 1000)])
    assert {id(piece) for piece in one._pieces if len(piece) == 1000} == {
        id(piece) for piece in other._pieces if len(piece) == 1000
    }
