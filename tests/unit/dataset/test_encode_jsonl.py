"""What formats write is what import reads: the export's own record whole, the others as far as they reach."""

from __future__ import annotations

from dataclasses import replace

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dataset.encode_chat import encode_openai, encode_sharegpt, plain_openai
from engine.dataset.encode_jsonl import JSONL, encode_jsonl
from engine.dataset.encode_recllmsim import encode_recllmsim
from engine.dataset.formats import FORMATS
from engine.dataset.record_format import Place, RecordFormat, decode
from engine.schema.annotation import (
    PAPER_INTENTS,
    Annotation,
    Kind,
    Target,
    hallucination_of,
    intents_of,
    ratings_of,
)
from engine.schema.conversation import Role
from engine.schema.dataset import (
    Construction,
    Conversation,
    ConversationTurn,
    Origin,
    ProfileText,
    ScenarioText,
)

PLACE = Place("back.jsonl", 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
TEXTS = st.dictionaries(st.sampled_from(["en", "zh"]), TEXT, max_size=2)
OBJECT = st.dictionaries(TEXT.filter(lambda key: key not in ("other_messages", "gates")), JSON, max_size=2)


@st.composite
def turns(draw: st.DrawFn, at: int) -> ConversationTurn:
    role = draw(st.sampled_from(Role))
    target = Target("c-1", at)
    value: object = draw(st.lists(st.sampled_from(PAPER_INTENTS.labels), min_size=1, max_size=2, unique=True))
    kind = Kind.INTENT
    if role is Role.ASSISTANT:
        kind = Kind.HALLUCINATION
        value = {"hallucination": draw(st.sampled_from([True, False, None])), "memo": draw(TEXT)}
    author = draw(st.sampled_from(["dataset", "judge:x", "human:y"]))
    said = Annotation(kind.value, target, value, author, "v1", {"raw": draw(TEXT)})
    content = draw(TEXT)
    return ConversationTurn(
        role=role,
        content=content,
        translations=draw(TEXTS),
        annotations=(said,) if draw(st.booleans()) else (),
        flags=() if content.strip() else ("empty",),
        extra=draw(OBJECT),
    )


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    number = draw(st.integers(1, 4))
    made = Conversation(
        conversation_id="c-1",
        turns=tuple(draw(turns(at)) for at in range(number)),
        origin=Origin(format="test", licence=draw(TEXT), attribution=draw(TEXT)),
        task=draw(TEXT),
        scenario=ScenarioText(
            number=draw(st.none() | st.integers(0, 99)), text=draw(TEXT), translations=draw(TEXTS),
            variables=draw(OBJECT),
        ),
        profile=ProfileText(
            profile_id=draw(TEXT | st.sampled_from(["7", "007", "²"])), text=draw(TEXT),
            translations=draw(TEXTS), fields=draw(st.dictionaries(TEXT, TEXT, max_size=2)),
        ),
        person=draw(TEXT),
        language=draw(st.sampled_from(["", "en", "zh"])),
        construction=draw(st.sampled_from(Construction)),
        models=draw(st.dictionaries(st.sampled_from(["simulator", "assistant"]), TEXT)),
        annotations=(
            Annotation(Kind.RATING.value, Target("c-1"), {"Diversity": draw(st.integers(0, 2))}, "judge:x"),
        ),
        label_sets={Kind.INTENT.value: PAPER_INTENTS},
        end_reason=draw(st.none() | st.just("goodbye")),
        dropped_because=tuple(draw(st.lists(st.just("rule"), max_size=1))),
        extra=draw(OBJECT),
    )  # fmt: skip
    # What reading notices is part of what is read.
    return back(made, JSONL, encode_jsonl(made))


def back(made: Conversation, form: RecordFormat, record: dict[str, object]) -> Conversation:
    """The conversation of a record, apart from where it was read."""
    read = decode(form, orjson.dumps(record), PLACE)
    return replace(read, origin=replace(read.origin, format="", file="", line=0), source_bytes=b"")


@settings(max_examples=60, deadline=None)
@given(conversations())
def test_the_exports_own_record_comes_back_whole(made: Conversation) -> None:
    assert JSONL.fits(encode_jsonl(made))
    assert back(made, JSONL, encode_jsonl(made)) == made


@settings(max_examples=60, deadline=None)
@given(conversations())
def test_recllmsim_comes_back_with_its_labels(made: Conversation) -> None:
    for with_id, name in ((True, "reference"), (False, "recllmsim")):
        record = encode_recllmsim(made, with_id=with_id)
        assert FORMATS[name].fits(record)
        read = back(made, FORMATS[name], record)
        if with_id:
            assert read.conversation_id == made.conversation_id
        assert (read.task, read.scenario.number, read.scenario.text) == (
            made.task, made.scenario.number, made.scenario.text,
        )  # fmt: skip
        assert (read.profile.profile_id, read.profile.text) == (made.profile.profile_id, made.profile.text)
        assert ratings_of(read.annotations) == ratings_of(made.annotations)
        assert len(read.turns) == len(made.turns)
        for ours, theirs in zip(made.turns, read.turns, strict=True):
            assert (theirs.role, theirs.content) == (ours.role, ours.content)
            assert theirs.translations.get("zh") == ours.translations.get("zh")
            assert intents_of(theirs.annotations) == intents_of(ours.annotations)
            assert hallucination_of(theirs.annotations) == hallucination_of(ours.annotations)


@settings(max_examples=60, deadline=None)
@given(conversations(), st.lists(st.integers(0, 4), max_size=3))
def test_chat_formats_come_back_with_every_message_in_its_place(made: Conversation, at: list[int]) -> None:
    others = [
        {"at": min(each, len(made.turns)), "message": {"role": "system", "from": "system", "value": "s"}}
        for each in sorted(at)
    ]
    made = replace(made, extra={"other_messages": others} if others else {})
    for form, encode in (("openai", encode_openai), ("sharegpt", encode_sharegpt)):
        record = encode(made)
        assert FORMATS[form].fits(record)
        read = back(made, FORMATS[form], record)
        assert [(turn.role, turn.content) for turn in read.turns] == [
            (turn.role, turn.content) for turn in made.turns
        ]
        assert (read.conversation_id, read.task, read.language) == (
            made.conversation_id, made.task, made.language,
        )  # fmt: skip
        assert read.extra.get("other_messages", []) == others
    messages = plain_openai(made)["messages"]
    assert isinstance(messages, list)
    assert len(messages) == len(made.turns) + len(others)


def test_labels_stand_at_the_utterance_in_both_languages() -> None:
    target = Target("c-1", 0)
    verdict = {"hallucination": True, "memo": "不存在", "memo_en": "no"}
    made = Conversation(
        conversation_id="c-1",
        turns=(
            ConversationTurn(
                role=Role.USER, content="Hi", translations={"zh": "你好"},
                annotations=(Annotation(Kind.INTENT, target, ["Planning"]),),
            ),
            ConversationTurn(
                role=Role.ASSISTANT, content="Ho",
                annotations=(Annotation(Kind.HALLUCINATION, target, verdict),),
            ),
        ),
        origin=Origin(format="test"),
        language="en",
    )  # fmt: skip
    said = encode_sharegpt(made)["conversations"]
    assert isinstance(said, list)
    user, reply = said
    assert user == {
        "from": "human", "value": "Hi", "content_zh": "你好", "intent": ["Planning"],
        "intent_en": ["Planning"], "intent_zh": ["规划"],
    }  # fmt: skip
    assert (reply["hallucination"], reply["reason_zh"], reply["reason_en"]) == (True, "不存在", "no")
    assert encode_openai(made)["labels"] == [
        {"at": 0} | {key: value for key, value in user.items() if key not in ("from", "value")},
        {"at": 1} | {key: value for key, value in reply.items() if key not in ("from", "value")},
    ]
    record = encode_jsonl(made)
    assert record["turns"][0]["content_zh"] == "你好"  # type: ignore[index]
    assert record["turns"][0]["content_en"] == "Hi"  # type: ignore[index]
