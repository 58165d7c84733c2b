"""Tables of an export: one row a conversation, an utterance, or a case of a view; with typed columns.

A column's kind says how formats write it: CSV gives lists and objects as JSON, Parquet gives lists their own
types. `json` columns are text in both, since their fields differ from row to row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import orjson

from engine.dataset.encode_jsonl import summary_of
from engine.dataset.utterance import languages_of, utterances
from engine.schema.annotation import METRICS, Kind, find, ratings_of
from engine.schema.dataset import Conversation

ColumnKind = Literal["text", "int", "bool", "texts", "json", "turns", "messages"]
Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` in order. `rows` gives the rows of one conversation; keys that are missing mean null."""

    name: str
    columns: Mapping[str, ColumnKind]
    rows: Callable[[Conversation], Iterable[Row]]


TURN_COLUMNS: Mapping[str, ColumnKind] = {
    "at": "int", "role": "text", "content": "text", "content_en": "text", "content_zh": "text",
    "intent": "texts", "intent_en": "texts", "intent_zh": "texts", "hallucination": "bool",
    "reason": "text", "reason_en": "text", "reason_zh": "text", "satisfaction": "int", "flags": "texts",
}  # fmt: skip
RATING_COLUMNS = {
    f"rating_{metric.name.lower().replace(' ', '_').replace('-', '_')}": metric.name for metric in METRICS
}
_HEAD: Mapping[str, ColumnKind] = {
    "id": "text", "task": "text", "language": "text", "construction": "text", "scenario_number": "int",
    "profile_id": "text", "person": "text",
}  # fmt: skip
_REST: Mapping[str, ColumnKind] = {
    "scenario": "text", "scenario_en": "text", "scenario_zh": "text",
    "profile": "text", "profile_en": "text", "profile_zh": "text",
    "simulator": "text", "assistant": "text", "end_reason": "text", "rounds": "int", "utterances": "int",
    "kept": "bool", "dropped_because": "texts", "flags": "texts",
    **dict.fromkeys(RATING_COLUMNS, "int"),
    "preference_summary": "texts", "profile_mapped": "json", "further_ratings": "json",
    "licence": "text", "attribution": "text", "turns": "turns",
}  # fmt: skip


def conversation_table(author: str | None = None) -> Table:
    """One row a conversation, its turns in one column."""
    return Table("conversations", {**_HEAD, **_REST}, lambda each: [_conversation_row(each, author)])


def utterance_table(author: str | None = None) -> Table:
    """One row an utterance, with the conversation's id, task, scenario, profile and person."""

    def rows(conversation: Conversation) -> Iterable[Row]:
        head = _head(conversation)
        head["conversation_id"] = head.pop("id")
        return (head | utterance._asdict() for utterance in utterances(conversation, author))

    head = {"conversation_id" if name == "id" else name: kind for name, kind in _HEAD.items()}
    return Table("utterances", {**head, **TURN_COLUMNS}, rows)


def _head(conversation: Conversation) -> Row:
    return {
        "id": conversation.conversation_id,
        "task": conversation.task,
        "language": conversation.language,
        "construction": conversation.construction.value,
        "scenario_number": conversation.scenario.number,
        "profile_id": conversation.profile.profile_id,
        "person": conversation.person,
    }


def _conversation_row(conversation: Conversation, author: str | None) -> Row:
    own = languages_of(conversation)
    row = _head(conversation)
    for name, text in (("scenario", conversation.scenario), ("profile", conversation.profile)):
        row[name] = text.text
        known = dict(text.translations) | ({own: text.text} if text.text else {})
        row |= {f"{name}_{language}": known.get(language) for language in ("en", "zh")}
    ratings = ratings_of(conversation.annotations, author)
    mapped = find(conversation.annotations, Kind.PROFILE_MAPPED, author)
    row |= {
        "simulator": conversation.models.get("simulator"),
        "assistant": conversation.models.get("assistant"),
        "end_reason": conversation.end_reason,
        "rounds": conversation.rounds,
        "utterances": len(conversation.turns),
        "kept": conversation.is_kept,
        "dropped_because": list(conversation.dropped_because),
        "flags": list(conversation.flags),
        "preference_summary": summary_of(conversation, author),
        "profile_mapped": as_json(mapped.value) if mapped else None,
        "licence": conversation.origin.licence,
        "attribution": conversation.origin.attribution,
        "turns": [utterance._asdict() for utterance in utterances(conversation, author)],
    }
    row |= {column: ratings.pop(metric, None) for column, metric in RATING_COLUMNS.items()}
    row["further_ratings"] = as_json(ratings) if ratings else None
    return row


def as_json(value: object) -> str:
    """A JSON value as text."""
    return orjson.dumps(value).decode()
