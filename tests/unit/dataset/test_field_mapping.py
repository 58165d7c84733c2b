"""Field mappings: those that ship read made-up records of their dataset's shape; a wrong one says where."""

from __future__ import annotations

import orjson
import pytest

from engine.dataset.field_mapping import format_of_mapping, parse_mapping, shipped_mappings
from engine.dataset.record_format import NotARecord, Place, decode
from engine.errors import BadInput
from engine.schema.dataset import Construction, Conversation

# Invented texts in each dataset's shape.
SAMPLES: dict[str, dict[str, object]] = {
    "redial": {
        "conversationId": "391",
        "initiatorWorkerId": 0,
        "respondentWorkerId": 1,
        "movieMentions": {"12": "A Film (1990)"},
        "messages": [
            {"messageId": 1, "timeOffset": 0, "senderWorkerId": 0, "text": "Any old comedy?"},
            {"messageId": 2, "timeOffset": 9, "senderWorkerId": 1, "text": "Try @12"},
        ],
    },
    "ultrachat": {"id": "7", "data": ["How do bees fly?", "With four wings."]},
    "lmsys-chat": {
        "conversation_id": "ab12",
        "model": "some-model",
        "conversation": [
            {"role": "user", "content": "Name a river."},
            {"role": "assistant", "content": "The Elbe."},
        ],
        "turn": 1,
        "language": "English",
        "openai_moderation": [],
        "redacted": False,
    },
    "pearl": {
        "user_id": "u5",
        "user_persona": "likes slow films",
        "gt_movie_title": "Some Film",
        "dialogue": ["Seeker: Something slow?", "Recommender: Some Film, then."],
    },
}
SAID = {
    "redial": ["Any old comedy?", "Try @12"],
    "ultrachat": ["How do bees fly?", "With four wings."],
    "lmsys-chat": ["Name a river.", "The Elbe."],
    "pearl": ["Something slow?", "Some Film, then."],
}
CONSTRUCTION = {
    "redial": Construction.HUMAN_HUMAN,
    "ultrachat": Construction.LLM_LLM,
    "lmsys-chat": Construction.HUMAN_LLM,
    "pearl": Construction.LLM_LLM,
}


def read(mapping: str, record: object) -> Conversation:
    form = format_of_mapping(parse_mapping(mapping, source="test.yaml"))
    return decode(form, orjson.dumps(record), Place("file.jsonl", 2))


def test_every_shipped_mapping_has_a_sample() -> None:
    assert set(shipped_mappings()) == set(SAMPLES)
    assert all(parse_mapping(text, source=name).name == name for name, text in shipped_mappings().items())


@pytest.mark.parametrize("name", SAMPLES)
def test_a_shipped_mapping_reads_its_dataset(name: str) -> None:
    found = read(shipped_mappings()[name], SAMPLES[name])
    assert [turn.content for turn in found.turns] == SAID[name]
    assert [turn.role.value for turn in found.turns] == ["user", "assistant"]
    assert found.construction is CONSTRUCTION[name]
    assert found.origin.licence
    assert found.origin.attribution
    assert found.flags == ()


def test_what_no_place_names_stays() -> None:
    redial = read(shipped_mappings()["redial"], SAMPLES["redial"])
    assert redial.person == "0"
    assert redial.turns[0].extra == {"messageId": 1, "timeOffset": 0}
    assert redial.extra == {"respondentWorkerId": 1, "movieMentions": {"12": "A Film (1990)"}}
    lmsys = read(shipped_mappings()["lmsys-chat"], SAMPLES["lmsys-chat"])
    assert lmsys.models == {"assistant": "some-model"}
    assert lmsys.conversation_id == "ab12"
    pearl = read(shipped_mappings()["pearl"], SAMPLES["pearl"])
    assert (pearl.profile.text, pearl.profile.profile_id) == ("likes slow films", "u5")
    assert pearl.conversation_id == "file-000002"


DEEP = """
name: deep
id: [meta.key, other]
task: meta.task
messages: body.turns
message: {role: who.kind, user: [visitor], assistant: [guide], text: says.text}
"""


def test_places_may_be_deep_and_have_alternatives() -> None:
    message = {"who": {"kind": "visitor"}, "says": {"text": "Hi", "tone": "low"}}
    narrator = {"who": {"kind": "narrator"}, "says": {"text": "Rain."}}
    found = read(DEEP, {"other": 5, "meta": {"task": "t"}, "body": {"turns": [narrator, message]}})
    assert (found.conversation_id, found.task) == ("5", "t")
    assert [turn.content for turn in found.turns] == ["Hi"]
    # A field that is only looked into stays whole, so that nothing of it is lost.
    assert found.turns[0].extra == message
    assert found.extra["other_messages"] == [{"at": 0, "message": narrator}]
    assert "other_speakers" in found.flags


def test_an_alternative_that_was_not_taken_stays() -> None:
    found = read(DEEP, {"other": 5, "meta": {"key": "k"}, "body": {"turns": []}})
    assert found.conversation_id == "k"
    assert found.extra == {"other": 5, "meta": {"key": "k"}, "body": {"turns": []}}


@pytest.mark.parametrize("record", [{}, {"body": {"turns": "text"}}, {"body": {"turns": ["text"]}}])
def test_a_record_of_another_shape_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(NotARecord):
        read(DEEP, record)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "no YAML"),
        ("name: x\nmessages: m\nmessage: {text: t}", "exactly one of role, prefixes and alternating"),
        ("name: x\nmessages: m\nmessage: {role: r, text: t}", "role needs user and assistant"),
        ("name: X Y\nmessages: m\nmessage: {alternating: user}", "name: "),
        ("name: x\nmessages: m\nmessage: {alternating: user}\nlisense: MIT", "lisense: "),
        ("[]", "no field mapping"),
    ],
)
def test_a_wrong_mapping_is_named_key_by_key(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        parse_mapping(text, source="test.yaml")
