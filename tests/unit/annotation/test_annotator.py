"""How a conversation is asked about: bounded re-asks, the best attempt, failures; and read back alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from tests.doubles.talks import talk

from engine.annotation.annotator import ATTEMPTS, INCOMPLETE, annotate, read_annotations
from engine.annotation.context import Room
from engine.annotation.judgements import HALLUCINATION, INTENT, RATINGS
from engine.annotation.preferences import PreferenceJudge
from engine.annotation.prompts import load_prompts
from engine.annotation.registry import ANNOTATORS
from engine.annotation.translation import Translator
from engine.errors import BadInput, CallFailed
from engine.runner.stage import DONE, End, Recorded, StageItem, replay_item
from engine.schema.annotation import METRICS, Annotation, Kind, LabelSet
from engine.schema.call import CallRecord, OutcomeRecord, Reply, Usage
from engine.schema.dataset import Conversation

Answer = str | CallFailed
ROOM = Room()


def ask(name: str, conversation: Conversation, answers: Sequence[Answer]) -> tuple[End, list[CallRecord]]:
    """Drive one item with these answers, in the order of asking."""
    annotator = ANNOTATORS[name]
    steps = annotate(annotator, load_prompts(name, None, None), ROOM, conversation)
    calls: list[CallRecord] = []
    left = iter(answers)
    try:
        question = next(steps)
        while True:
            answer = next(left)
            if isinstance(answer, CallFailed):
                question = steps.throw(answer)
                continue
            calls.append(
                record(len(calls) + 1, conversation.conversation_id, question.step, question.attempt, answer)
            )
            question = steps.send(Reply(answer, "stop", Usage(), "m"))
    except StopIteration as stop:
        assert next(left, None) is None, "not everything was asked"
        return stop.value, calls


def record(seq: int, item: str, step: str, attempt: int, text: str) -> CallRecord:
    body = orjson.dumps({"model": "m", "choices": [{"message": {"content": text}, "finish_reason": "stop"}]})
    return CallRecord(seq, "s", item, step, attempt, "reply", b"", body, "e", 1, 1, 0.0, 0.0)


def read(name: str, end: End, calls: list[CallRecord]) -> list[Annotation]:
    outcome = OutcomeRecord(
        1, "s", "t-1", end.result, end.note, 0, tuple(call.seq for call in calls), 9, 1, 0.0, 1
    )
    return list(read_annotations(ANNOTATORS[name], "j", "v", Recorded(outcome, calls)))


def test_each_user_turn_gets_its_intent() -> None:
    end, calls = ask(
        "intent", talk("Hello", "Hi", "Plan it", "Done"), ['{"intent": "Others"}', '{"intent": "planning"}']
    )
    assert end == End(DONE, "")
    found = read("intent", end, calls)
    assert [(each.target.turn, each.value) for each in found] == [(0, ["Others"]), (2, ["Planning"])]
    assert {(each.author, each.rubric, each.kind) for each in found} == {("judge:j", "intent@v", Kind.INTENT)}
    assert found[0].details == {"model": "m"}


def test_an_unusable_reply_is_asked_for_again_and_the_note_says_which_counts() -> None:
    end, calls = ask("intent", talk("Hello"), ["hm", '{"intent": "Nothing"}', '{"intent": "Search"}'])
    assert orjson.loads(end.note) == {"steps": {"turn-0": {"attempt": 2}}}
    assert [each.value for each in read("intent", end, calls)] == [["Search"]]


def test_re_asks_are_bounded_and_what_stays_unusable_is_left_out() -> None:
    end, calls = ask("intent", talk("Hello", "Hi", "Plan"), ["hm"] * ATTEMPTS + ['{"intent": "Planning"}'])
    assert end.result == INCOMPLETE
    assert orjson.loads(end.note)["steps"] == {"turn-0": {"unusable": "no_object"}}
    assert [each.target.turn for each in read("intent", end, calls)] == [2]


def test_a_failed_call_fails_the_conversation_unless_something_was_answered() -> None:
    with pytest.raises(CallFailed):
        ask("intent", talk("Hello", "Hi", "Plan"), [CallFailed("bad_request", "no")])
    end, calls = ask(
        "intent", talk("a", "b", "c"), ['{"intent": "Search"}', CallFailed("context_full", "full")]
    )
    assert end.result == INCOMPLETE
    assert [each.target.turn for each in read("intent", end, calls)] == [0]


def test_a_failed_conversation_has_no_annotations() -> None:
    assert read("intent", End("failed", '{"reason": "x"}'), [record(1, "t-1", "turn-0", 0, "hm")]) == []


def test_a_dataset_with_labels_of_its_own_is_judged_by_them() -> None:
    labels = LabelSet("own", ("推荐", "规划"), is_multi=True)
    conversation = Conversation(
        conversation_id="t-1",
        turns=talk("你好").turns,
        origin=talk("a").origin,
        label_sets={Kind.INTENT: labels},
    )
    end, calls = ask("intent", conversation, ['{"intent": ["规划", "推荐"]}'])
    assert [each.value for each in read("intent", end, calls)] == [["规划", "推荐"]]


def test_a_verdict_of_hallucination_needs_its_reason() -> None:
    replies = [
        '{"hallucination": true, "reason": ""}',
        '{"hallucination": true, "reason": "A week has 7 days."}',
    ]
    end, calls = ask("hallucination", talk("Hello", "A week of nine days"), replies)
    [found] = read("hallucination", end, calls)
    assert found.value == {"hallucination": True, "memo": "A week has 7 days."}
    assert found.details["attempt"] == 1


def test_a_rating_has_every_measure_in_its_range() -> None:
    full = {metric.name: metric.most for metric in METRICS}
    wrong = [full | {"Memorization": 2}, {k: v for k, v in full.items() if k != "Diversity"}]
    end, calls = ask(
        "ratings",
        talk("a", "b"),
        [*(orjson.dumps(each).decode() for each in wrong), orjson.dumps(full).decode()],
    )
    assert [each.value for each in read("ratings", end, calls)] == [full]


def test_phrases_keep_their_origin() -> None:
    judge = PreferenceJudge({"travel planning": "travel_habits"})
    facts = judge.facts(talk("a"))
    assert facts["phrases"] == ["Travels by rail", "avoids crowds", "Packs light"]
    _, calls = ask("preferences", talk("a", "b"), ['{"phrases": ["avoids crowds", "trains", "art"]}'])
    [call] = calls
    note = orjson.dumps({"facts": facts}).decode()
    [found] = read("preferences", End(DONE, note), [call])
    assert found.value == ["avoids crowds", "trains", "art", "Travels by rail", "Packs light"]
    assert found.details["origins"] == ["conversation"] * 3 + ["profile:travel_habits"] * 2


def test_the_translation_with_the_fewest_faults_stays_flagged() -> None:
    source = "Arrive at 9:30 and take the train to the museum of art."
    texts = [source, "九点半到，坐火车去艺术博物馆看展览。", source]
    conversation = Conversation(
        conversation_id="t-1", turns=talk(source).turns, origin=talk("a").origin, language="en"
    )
    end, calls = ask(
        "translation", conversation, [orjson.dumps({"translation": text}).decode() for text in texts]
    )
    [found] = read("translation", end, calls)
    assert found.value == {"language": "zh", "text": texts[1]}
    assert found.details["flags"] == ["numbers"]


def test_profile_and_scenario_are_one_annotation() -> None:
    replies = ["你好", "计划一次3天的旅行。", "1. 性别：女\n2. 年龄：40"]
    end, calls = ask(
        "translation", talk("Hello"), [orjson.dumps({"translation": text}).decode() for text in replies]
    )
    found = read("translation", end, calls)
    assert [each.target.turn for each in found] == [0, None]
    assert found[1].value == {"language": "zh", "scenario": replies[1], "profile": replies[2]}


@pytest.mark.parametrize("name", list(ANNOTATORS))
def test_an_empty_conversation_is_asked_nothing(name: str) -> None:
    empty = Conversation(conversation_id="t-1", turns=talk(" ").turns, origin=talk("a").origin)
    end, _ = ask(name, empty, [])
    assert end.result == DONE


@pytest.mark.parametrize("name", list(ANNOTATORS))
def test_a_long_conversation_fits_the_context_and_is_flagged(name: str) -> None:
    long = talk(*["A good plan for the day. " * 400] * 9)
    annotator, prompts = ANNOTATORS[name], load_prompts(name, None, None)
    room = Room.of(4096, 1024)
    assert room.bytes is not None
    for question in annotator.questions(long, prompts, room):
        messages = prompts.messages(question.system, question.material, 1)
        assert sum(len(orjson.dumps(text)) for _, text in messages) <= room.bytes, question.step
        assert question.cut > 0 or name in ("translation", "profile")


def test_an_attempt_contains_nothing_of_an_earlier_reply() -> None:
    prompts = load_prompts("intent", None, None)
    steps = annotate(INTENT, prompts, ROOM, talk("Hello"))
    first = next(steps)
    again = steps.send(Reply("SECRET WORDS", "stop", Usage(), "m"))
    assert again.attempt == 1
    assert again.messages[0] == first.messages[0]
    assert again.messages[1][1].startswith(first.messages[1][1])
    assert "SECRET" not in again.messages[1][1]


def test_a_replay_ends_as_the_first_run_did() -> None:
    conversation = talk("Hello", "Hi", "Plan")
    end, calls = ask("intent", conversation, ["hm", '{"intent": "Others"}', '{"intent": "Planning"}'])
    prompts = load_prompts("intent", None, None)
    item = StageItem("t-1", lambda: annotate(INTENT, prompts, ROOM, conversation))
    assert replay_item(item, calls) == end


def test_the_version_of_a_prompt_is_that_of_its_texts(tmp_path: Path) -> None:
    shipped = load_prompts("ratings", None, None)
    own = tmp_path / "_annotation" / "ratings"
    own.mkdir(parents=True)
    for name in ("system", "material"):
        (own / f"{name}.jinja").write_text(shipped.texts[name], "utf-8")
    assert load_prompts("ratings", tmp_path, None).version == shipped.version
    (own / "system.jinja").write_text("Rate it. {{ metrics }}", "utf-8")
    assert load_prompts("ratings", tmp_path, None).version != shipped.version
    (own / "system.jinja").write_text("{{ weather }}", "utf-8")
    with pytest.raises(BadInput, match="no variable 'weather'"):
        load_prompts("ratings", tmp_path, None)


def test_annotators_are_what_their_protocol_says() -> None:
    for annotator in (INTENT, HALLUCINATION, RATINGS, PreferenceJudge(), Translator()):
        assert annotator.schema.schema["type"] == "object"
        assert annotator.name in ANNOTATORS
