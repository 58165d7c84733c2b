"""Table 1: utterances and rounds apart, tasks left out of the averages and not of the counts."""

from __future__ import annotations

import pytest
from tests.unit.analysis.made_up import conversation, words

from engine.analysis.definitions import PAPER, Definitions
from engine.analysis.table1 import LAST_POSITION, Table1
from engine.schema.conversation import Role


def table(*conversations: object) -> Table1:
    found = Table1(words)
    for each in conversations:
        found.add(each)  # type: ignore[arg-type]
    return found


def test_utterances_rounds_and_tokens_are_counted_apart() -> None:
    row = table(conversation("a b", "c d e", "f"), conversation("a", "b", scenario=2)).row(Definitions())
    assert (row.scenarios, row.conversations, row.averaged_over) == (2, 2, 2)
    assert (row.mean_utterances, row.mean_rounds, row.mean_tokens) == (2.5, 1.0, 4.0)
    assert (row.user_utterances, row.assistant_utterances) == (3, 2)
    assert row.mean_user_tokens == pytest.approx(4 / 3)
    assert row.mean_assistant_tokens == 2


def test_a_greeting_of_the_assistant_is_an_utterance_and_no_round() -> None:
    row = table(conversation("hello", "a", "b", first=Role.ASSISTANT)).row(Definitions())
    assert (row.mean_utterances, row.mean_rounds) == (3, 1)


def test_the_papers_averages_leave_one_task_out() -> None:
    counted = table(conversation("a", "b"), conversation("a", "b", "c", "d", task="new travel planning"))
    row = counted.row(PAPER)
    assert (row.scenarios, row.conversations, row.averaged_over, row.mean_utterances) == (2, 2, 1, 2)
    assert counted.row(Definitions()).mean_utterances == 3
    assert counted.row(PAPER, "new travel planning").mean_utterances == 4


def test_the_utterances_of_one_side_are_an_option() -> None:
    counted = table(conversation("a b", "c d e", "f"))
    user, assistant = (counted.row(Definitions(utterances=side)) for side in ("user", "assistant"))
    assert (user.mean_utterances, user.mean_tokens) == (2, 3)
    assert (assistant.mean_utterances, assistant.mean_tokens) == (1, 3)


def test_tokens_are_counted_by_position_and_late_ones_together() -> None:
    turns = ["x " * n for n in range(1, 2 * (LAST_POSITION + 2) + 1)]
    by_side = table(conversation(*turns)).tokens_by_position()
    assert by_side[Role.USER][1].mean == 1
    assert by_side[Role.ASSISTANT][2].mean == 4
    assert list(by_side[Role.USER]) == list(range(1, LAST_POSITION + 1))
    assert by_side[Role.USER][LAST_POSITION].n == 3


def test_parts_make_the_whole() -> None:
    one, other = conversation("a", "b"), conversation("a b c", "d", "e", scenario=3, task="other")
    merged = table(one)
    merged.merge(table(other))
    assert merged.row(Definitions()) == table(one, other).row(Definitions())
    assert merged.rounds().counts == {1: 2}


def test_nothing_counted_is_zeros() -> None:
    row = table().row(PAPER)
    assert (row.conversations, row.mean_utterances, row.mean_user_tokens) == (0, 0.0, 0.0)
