"""The export's own JSON Lines record: everything that a `Conversation` holds, and reading it back.

Each turn also has its labels flat (`intent`, `hallucination`, `reason`, in both languages), and the record
its `rating` and `preference_summary`, for people and scripts to use. These repeat `annotations`, which alone
is read back: whoever changes a label changes it there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.dataset.record_format import NotARecord, Place, RecordFormat, id_of, origin_of, text_of
from engine.dataset.utterance import labels, languages_of
from engine.schema.annotation import Annotation, Kind, LabelSet, Target, find, ratings_of
from engine.schema.conversation import Role
from engine.schema.dataset import (
    Construction,
    Conversation,
    ConversationTurn,
    ProfileText,
    ScenarioText,
)

DATASET_FORMAT = "recsim-dataset/1"


def encode_jsonl(conversation: Conversation, author: str | None = None) -> dict[str, object]:
    """The record of a conversation; the flat labels are those of `author`, or of whoever is first."""
    scenario, profile, origin = conversation.scenario, conversation.profile, conversation.origin
    record: dict[str, object] = {
        "format": DATASET_FORMAT,
        "id": conversation.conversation_id,
        "task": conversation.task,
        "language": conversation.language,
        "construction": conversation.construction,
        "models": dict(conversation.models),
        "scenario": {
            "number": scenario.number,
            "text": scenario.text,
            "translations": dict(scenario.translations),
            "variables": dict(scenario.variables),
        },
        "profile": {
            "id": profile.profile_id,
            "text": profile.text,
            "translations": dict(profile.translations),
            "fields": dict(profile.fields),
        },
        "person": conversation.person,
        "turns": [_turn(turn, languages_of(conversation), author) for turn in conversation.turns],
        "end_reason": conversation.end_reason,
        "rounds": conversation.rounds,
        "kept": conversation.is_kept,
        "dropped_because": list(conversation.dropped_because),
        "flags": list(conversation.flags),
        "rating": ratings_of(conversation.annotations, author),
        "preference_summary": summary_of(conversation, author),
        "annotations": [_annotation(each) for each in conversation.annotations],
        "label_sets": {
            str(kind): {"name": labels.name, "labels": list(labels.labels), "is_multi": labels.is_multi}
            for kind, labels in conversation.label_sets.items()
        },
        "origin": {
            "format": origin.format,
            "file": origin.file,
            "line": origin.line,
            "licence": origin.licence,
            "attribution": origin.attribution,
        },
        "extra": dict(conversation.extra),
    }
    return record


def summary_of(conversation: Conversation, author: str | None = None) -> list[str]:
    """The phrases of the preference summary; empty where there is none."""
    found = find(conversation.annotations, Kind.PREFERENCE_SUMMARY, author)
    return [text_of(phrase) for phrase in found.value] if found and isinstance(found.value, list) else []


def read_jsonl(record: Mapping[str, object], place: Place) -> Conversation:
    """The conversation that was written; raises NotARecord where its turns are not as they were written."""
    turns = record.get("turns")
    if not isinstance(turns, list):
        raise NotARecord("has no list of turns under `turns`")
    conversation_id = id_of(record.get("id"), place)
    scenario, profile, origin = (_object(record.get(key)) for key in ("scenario", "profile", "origin"))
    number, construction = scenario.get("number"), record.get("construction")
    known = construction in set(Construction)
    return Conversation(
        conversation_id=conversation_id,
        turns=tuple(_read_turn(turn, Target(conversation_id, at)) for at, turn in enumerate(turns)),
        origin=origin_of("jsonl", place, text_of(origin.get("licence")), text_of(origin.get("attribution"))),
        task=text_of(record.get("task")),
        scenario=ScenarioText(
            number=number if isinstance(number, int) else None,
            text=text_of(scenario.get("text")),
            translations=_texts(scenario.get("translations")),
            variables=_object(scenario.get("variables")),
        ),
        profile=ProfileText(
            profile_id=text_of(profile.get("id")),
            text=text_of(profile.get("text")),
            translations=_texts(profile.get("translations")),
            fields=_texts(profile.get("fields")),
        ),
        person=text_of(record.get("person")),
        language=text_of(record.get("language")),
        construction=Construction(text_of(construction)) if known else Construction.UNKNOWN,
        models=_texts(record.get("models")),
        annotations=_read_annotations(record, Target(conversation_id)),
        label_sets={
            kind: LabelSet(
                text_of(each.get("name")),
                tuple(map(text_of, _list(each.get("labels")))),
                each.get("is_multi") is True,
            )
            for kind, each in (
                (kind, _object(each)) for kind, each in _object(record.get("label_sets")).items()
            )
        },
        end_reason=text_of(record.get("end_reason")) or None,
        flags=tuple(map(text_of, _list(record.get("flags")))),
        dropped_because=tuple(map(text_of, _list(record.get("dropped_because")))),
        extra=_object(record.get("extra")),
    )


JSONL = RecordFormat("jsonl", lambda record: record.get("format") == DATASET_FORMAT, read_jsonl)


def _turn(turn: ConversationTurn, own: str, author: str | None) -> dict[str, object]:
    texts = {own: turn.content} | dict(turn.translations) if turn.translations else {}
    return (
        {"role": turn.role, "content": turn.content}
        | {f"content_{language}": text for language, text in texts.items()}
        | labels(turn, author)
        | {
            "translations": dict(turn.translations),
            "flags": list(turn.flags),
            "annotations": [_annotation(each) for each in turn.annotations],
            "extra": dict(turn.extra),
        }
    )


def _annotation(annotation: Annotation) -> dict[str, object]:
    return {
        "kind": annotation.kind,
        "author": annotation.author,
        "rubric": annotation.rubric,
        "value": annotation.value,
        "details": dict(annotation.details),
    }


def _read_turn(turn: object, target: Target) -> ConversationTurn:
    fields = _object(turn)
    if fields.get("role") not in set(Role):
        raise NotARecord(f"`turns` holds at {target.turn} no turn of a user or an assistant")
    return ConversationTurn(
        role=Role(text_of(fields["role"])),
        content=text_of(fields.get("content")),
        translations=_texts(fields.get("translations")),
        annotations=_read_annotations(fields, target),
        flags=tuple(map(text_of, _list(fields.get("flags")))),
        extra=_object(fields.get("extra")),
    )


def _read_annotations(fields: Mapping[str, object], target: Target) -> tuple[Annotation, ...]:
    found = (_object(each) for each in _list(fields.get("annotations")))
    return tuple(
        Annotation(
            kind=text_of(each.get("kind")),
            target=target,
            value=each.get("value"),
            author=text_of(each.get("author")),
            rubric=text_of(each.get("rubric")),
            details=_object(each.get("details")),
        )
        for each in found
    )


def _texts(value: object) -> dict[str, str]:
    return {key: text_of(text) for key, text in _object(value).items()}


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []
