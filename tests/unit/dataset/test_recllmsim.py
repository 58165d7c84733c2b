"""The release's and the reference's records, on made-up ones: every field has a place or stays in `extra`."""

from __future__ import annotations

import orjson
import pytest

from engine.dataset.recllmsim import RECLLMSIM, REFERENCE, profile_fields
from engine.dataset.record_format import NotARecord, Place, decode
from engine.schema.annotation import Kind, find, hallucination_of, intents_of, ratings_of
from engine.schema.dataset import Construction

RELEASE = {
    "task": "recipe planning",
    "task_context_id": 3,
    "task_context": "Cook for somebody.",
    "task_context_zh": "做饭",
    "preference_id": 7,
    "preference": "1. Gender: Female\n2. Age: 30\n7. Dining Preferences: soups, stews",
    "preference_zh": "1.性别：女",
    "history": [
        {"role": "user", "content": "Hi", "content_zh": "你好", "intent": "Planning", "intent_zh": "规划"},
        {
            "role": "assistant",
            "content": "Hello",
            "content_zh": "您好",
            "hallucination": {"hallucination": True, "memo": "错"},
        },
    ],
    "rating": {"Diversity": 2, "Memorization": 1},
    "preference_summary": ["warm soup"],
    "profile_mapped": {
        "Gender": {"en": "Female", "zh": "女"},
        "Dining Preferences": [{"en": "Soup", "zh": "汤"}],
    },
    "model_of_the_day": "x",
}
HUMAN = {
    "id": "hu9-u001-recipe-1",
    "collection": "hu9",
    "user": "hu9-u001",
    "task": "recipe planning",
    "task_zh": "菜谱规划",
    "task_context": "做一顿饭",
    "history": [
        {"role": "user", "content": "你好", "intent": ["推荐", "规划"]},
        {"role": "assistant", "content": "好", "hallucination": "无法判断"},
        {"role": "user", "content": "谢谢", "intent": []},
        {"role": "assistant", "content": "再见", "hallucination": "是"},
    ],
    "profile": {"gender": "Female", "age_band": "20-24", "dining_preferences": ["汤", "饭"]},
    "questionnaire": [{"query": "?", "summary": "Diversity", "option": "一般"}],
    "strategy": {"final": {"order": "x"}},
    "strategy_human_V3": {"final": {"order": "y"}},
}


def test_a_release_file_gets_the_id_that_the_reference_gives_it() -> None:
    assert RECLLMSIM.fits(RELEASE)
    assert not REFERENCE.fits(RELEASE)
    found = decode(RECLLMSIM, orjson.dumps(RELEASE), Place("release", 1, "recipe planning/12.json"))
    assert found.conversation_id == "recipe-0012"
    assert found.turns[0].annotations[0].target.conversation_id == "recipe-0012"


def test_every_field_of_a_release_file_has_its_place() -> None:
    raw = orjson.dumps(RELEASE)
    found = decode(RECLLMSIM, raw, Place("release", 1, "recipe planning/12.json"))
    assert (found.task, found.scenario.number, found.scenario.text) == (
        "recipe planning",
        3,
        "Cook for somebody.",
    )
    assert (found.scenario.translations, found.profile.translations) == ({"zh": "做饭"}, {"zh": "1.性别：女"})
    assert found.profile.profile_id == "7"
    assert found.profile.fields["dining_preferences"] == "soups, stews"
    assert [turn.translations["zh"] for turn in found.turns] == ["你好", "您好"]
    assert intents_of(found.turns[0].annotations) == ("Planning",)
    assert found.turns[0].extra == {"intent_zh": "规划"}
    verdict = hallucination_of(found.turns[1].annotations)
    assert verdict is not None
    assert (verdict.is_hallucinated, verdict.memo) == (True, "错")
    assert ratings_of(found.annotations) == {"Diversity": 2, "Memorization": 1}
    mapped = find(found.annotations, Kind.PROFILE_MAPPED)
    assert mapped is not None
    assert mapped.value == {
        "gender": [{"en": "Female", "zh": "女"}],
        "dining_preferences": [{"en": "Soup", "zh": "汤"}],
    }
    assert found.construction is Construction.LLM_LLM
    assert found.extra == {"model_of_the_day": "x"}
    assert found.source_bytes is raw


def test_people_have_their_own_labels_several_a_turn() -> None:
    assert REFERENCE.fits(HUMAN)
    found = decode(REFERENCE, orjson.dumps(HUMAN), Place("human.jsonl", 1))
    assert found.construction is Construction.HUMAN_LLM
    assert (found.person, found.language) == ("hu9-u001", "zh")
    assert intents_of(found.turns[0].annotations) == ("推荐", "规划")
    assert intents_of(found.turns[2].annotations) == ()
    verdicts = [hallucination_of(turn.annotations) for turn in (found.turns[1], found.turns[3])]
    assert [verdict and verdict.is_hallucinated for verdict in verdicts] == [None, True]
    assert found.label_sets["intent"].is_multi
    assert found.profile.fields == {"gender": "Female", "age": "20-24", "dining_preferences": "汤、饭"}
    strategy = find(found.annotations, Kind.STRATEGY)
    assert strategy is not None
    assert strategy.value == {"strategy": HUMAN["strategy"], "strategy_human_V3": HUMAN["strategy_human_V3"]}
    assert found.extra == {"collection": "hu9", "task_zh": "菜谱规划"}


@pytest.mark.parametrize(
    "record",
    [
        {"id": "a", "task": "t", "task_context": "", "history": ["text"]},
        {"id": "a", "task": "t", "task_context": "", "history": "text"},
    ],
)
def test_what_holds_no_conversation_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(NotARecord, match="history"):
        decode(REFERENCE, orjson.dumps(record), Place("f", 1))


def test_messages_of_others_are_kept_beside_the_turns_and_flagged() -> None:
    user, narrator, assistant = (
        {"role": role, "content": role} for role in ("user", "narrator", "assistant")
    )
    record = {"id": "a", "task": "t", "task_context": "", "history": [user, narrator, assistant]}
    found = decode(REFERENCE, orjson.dumps(record), Place("f", 1))
    assert [turn.content for turn in found.turns] == ["user", "assistant"]
    assert found.extra["other_messages"] == [{"at": 1, "message": narrator}]
    assert found.flags == ("unknown_role",)


def test_lines_of_a_profile_that_are_no_aspect_are_left_out() -> None:
    assert profile_fields("Gender: Male\n1. Gender: Male\n2. Shoes: 44\n") == {"gender": "Male"}
