"""Views: what was offered and accepted, roles flipped, verdicts, profiles."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.analysis.made_up import conversation

from engine.dataset.tabular import Row
from engine.dataset.views import END_TOKEN, VIEWS, items_offered
from engine.schema.dataset import Conversation

REPLY = (
    "Some ideas:\n1. **Blue Lagoon**: warm water\n2. Hidden Falls - a hike\n- Old Town (for walks)\nEnjoy!"
)


def rows(view: str, made: Conversation) -> list[Row]:
    table = VIEWS[view].table(view, None)
    found = list(table.rows(made))
    assert all(set(row) <= set(table.columns) for row in found)
    return found


def test_offered_items_are_the_heads_of_a_list() -> None:
    assert items_offered(REPLY) == ["Blue Lagoon", "Hidden Falls", "Old Town"]
    assert items_offered("1、故宫：历史\n2、长城（徒步）") == ["故宫", "长城"]
    assert items_offered("No list here: just words.") == []


@pytest.mark.parametrize(
    ("reaction", "accepted"),
    [
        ("The blue lagoon sounds lovely. Not Old Town, please.", ["Blue Lagoon"]),
        ("I would rather not see Hidden Falls.", []),
        ("Thanks!", []),
    ],
)
def test_accepted_is_what_the_user_names_without_refusing_it(reaction: str, accepted: list[str]) -> None:
    made = conversation("Where to?", REPLY, reaction, "Fine.", intents=["Recommendation", "Others"])
    (row,) = rows("recommendation", made)
    assert (row["turn"], row["request"], row["reaction"]) == (1, "Where to?", reaction)
    assert (row["accepted"], row["is_accepted"]) == (accepted, bool(accepted))
    assert row["intent_zh"] == ["推荐"]


def test_intents_decide_where_there_are_any_and_lists_otherwise() -> None:
    assert rows("recommendation", conversation("Hi", REPLY, intents=["Planning"])) == []
    (row,) = rows("recommendation", conversation("Hi", REPLY))
    assert row["is_accepted"] is None
    assert row["reaction"] is None


@pytest.mark.parametrize(("end", "is_closed"), [(None, True), ("goodbye", True), ("max_rounds", False)])
def test_a_simulator_learns_the_users_part(end: str | None, is_closed: bool) -> None:
    made = replace(conversation("Hi", "Hello {you}", "Bye", "Bye"), end_reason=end, language="en")
    (row,) = rows("simulator", made)
    messages = row["messages"]
    assert isinstance(messages, list)
    roles = [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
        *(["assistant"] if is_closed else []),
    ]
    assert [message["role"] for message in messages] == roles
    assert "a profile" in messages[0]["content"]
    assert messages[2]["content"] == "Hi"
    assert (messages[-1]["content"] == END_TOKEN) is is_closed


def test_hallucination_rows_are_of_judged_replies_alone() -> None:
    made = conversation("Hi", "One", "And?", "Two", intents=["Search", "Planning"], verdicts=[True])
    (row,) = rows("hallucination", made)
    assert (row["reply"], row["hallucination"], row["intent"]) == ("One", True, ["Search"])
    assert row["context"] == [{"role": "user", "content": "Hi"}]


def test_profiling_needs_a_profile() -> None:
    made = conversation("Hi", "Ho")
    (row,) = rows("profiling", made)
    assert row["profile"] == "a profile"
    assert rows("profiling", replace(made, profile=replace(made.profile, text=""))) == []
