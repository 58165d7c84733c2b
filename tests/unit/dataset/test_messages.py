"""OpenAI messages and ShareGPT: turns, what is no turn, and what is odd."""

from __future__ import annotations

import orjson
import pytest

from engine.dataset.messages import OPENAI, SHAREGPT
from engine.dataset.record_format import NotARecord, Place, RecordFormat, decode
from engine.schema.dataset import Conversation

PLACE = Place("chats.jsonl", 12)


def read(form: RecordFormat, record: object) -> Conversation:
    return decode(form, orjson.dumps(record), PLACE)


def said(conversation: Conversation) -> list[tuple[str, str]]:
    return [(turn.role.value, turn.content) for turn in conversation.turns]


def test_system_and_tool_messages_are_kept_beside_the_turns() -> None:
    system = {"role": "system", "content": "Be kind."}
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    tool = {"role": "tool", "content": "12 C", "tool_call_id": "1"}
    found = read(
        OPENAI,
        {
            "id": "x",
            "model": "m",
            "messages": [
                system,
                {"role": "user", "content": "Weather?", "name": "ann"},
                call,
                tool,
                {
                    "role": "assistant",
                    "content": [{"type": "text", "text": "12"}, {"type": "text", "text": "C"}],
                },
            ],
        },
    )
    assert said(found) == [("user", "Weather?"), ("assistant", "12\nC")]
    assert found.turns[0].extra == {"name": "ann"}
    assert found.extra == {
        "model": "m",
        "other_messages": [
            {"at": 0, "message": system},
            {"at": 1, "message": call},
            {"at": 1, "message": tool},
        ],
    }
    assert found.flags == ()
    assert found.conversation_id == "x"


def test_odd_messages_are_flagged_and_kept() -> None:
    found = read(
        OPENAI,
        {
            "messages": [
                {"role": "assistant", "content": " "},
                {"role": "narrator", "content": "Meanwhile"},
                {"role": "user", "content": [{"type": "image_url", "image_url": {}}]},
                {"role": "user", "content": 7},
            ]
        },
    )
    assert set(found.flags) == {
        "unknown_role", "empty", "non_text_content", "same_speaker_twice", "assistant_first"
    }  # fmt: skip
    assert [turn.content for turn in found.turns] == [" ", "", "7"]
    assert found.turns[1].extra["content"] == [{"type": "image_url", "image_url": {}}]
    assert found.conversation_id == "chats-000012"


def test_sharegpt_names_its_sides_in_several_ways() -> None:
    found = read(
        SHAREGPT,
        {
            "id": "s1",
            "conversations": [
                {"from": "system", "value": "S"},
                {"from": "human", "value": "Q"},
                {"from": "GPT", "value": "A", "weight": 1},
                {"from": "user", "value": "Q2"},
                {"from": "model", "value": "A2"},
            ],
        },
    )
    assert said(found) == [("user", "Q"), ("assistant", "A"), ("user", "Q2"), ("assistant", "A2")]
    assert found.turns[1].extra == {"weight": 1}
    assert found.rounds == 2


def test_a_record_says_by_its_fields_what_it_is() -> None:
    assert OPENAI.fits({"messages": [{"role": "user", "content": ""}]})
    assert not OPENAI.fits({"messages": ["text"]})
    assert SHAREGPT.fits({"conversations": [{"from": "human", "value": ""}]})
    assert not SHAREGPT.fits({"conversation": [{"role": "user", "content": ""}]})


def test_a_conversation_without_turns_is_flagged() -> None:
    assert read(OPENAI, {"messages": []}).flags == ("no_turns",)


@pytest.mark.parametrize("record", [{"messages": "text"}, {"messages": [3]}, {"other": []}])
def test_what_holds_no_messages_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(NotARecord):
        read(OPENAI, record)
