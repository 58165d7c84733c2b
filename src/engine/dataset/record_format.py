"""A record format turns one record of a file into a `Conversation`; the file's own bytes are never changed.

Formats only read. What they cannot place stays in `extra`, what looks odd gets a flag, and only a record that
is no conversation at all is refused, with the reason (`NotARecord`): imports flag, they never drop.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import orjson

from engine.schema.conversation import Role
from engine.schema.dataset import Conversation, ConversationTurn, Origin


class NotARecord(ValueError):
    """This record holds no conversation of the format; the message says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands: the file's name, its path below what was named, and the line from 1."""

    file: str
    line: int
    path: str = ""


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """One format. `fits` looks at a parsed record; `read` makes the conversation or raises NotARecord."""

    name: str
    fits: Callable[[Mapping[str, object]], bool]
    read: Callable[[Mapping[str, object], Place], Conversation]


def decode(form: RecordFormat, raw: bytes, place: Place) -> Conversation:
    """The conversation of one record. `raw` is kept as it is. Raises NotARecord."""
    conversation = form.read(parse(raw), place)
    turns = tuple(_noticed(turn) for turn in conversation.turns)
    found = dict.fromkeys((*conversation.flags, *noticed(turns)))
    return replace(conversation, turns=turns, flags=tuple(found), source_bytes=raw)


def parse(raw: bytes) -> dict[str, object]:
    """The JSON object in `raw`; raises NotARecord for anything else.

    NaN, and halves of surrogate pairs in escapes, are no JSON to a strict reader; they are read all the same,
    the latter as "?".
    """
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        try:
            text = json.dumps(json.loads(raw), ensure_ascii=False)
            found = json.loads(text.encode("utf-8", "replace"))
        except (ValueError, RecursionError):
            raise NotARecord(f"is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise NotARecord(f"is a JSON {_KIND.get(type(found), 'value')}, not an object")
    return found


_KIND: Mapping[type, str] = {list: "array", str: "string", int: "number", float: "number", type(None): "null"}


def noticed(turns: Sequence[ConversationTurn]) -> tuple[str, ...]:
    """Flags for the shape of a conversation, each once."""
    found = [flag for turn in turns for flag in turn.flags]
    if not turns:
        found.append("no_turns")
    if any(a.role is b.role for a, b in pairwise(turns)):
        found.append("same_speaker_twice")
    if turns and turns[0].role is not Role.USER:
        found.append("assistant_first")
    return tuple(dict.fromkeys(found))


def _noticed(turn: ConversationTurn) -> ConversationTurn:
    if turn.content.strip() or "empty" in turn.flags:
        return turn
    return replace(turn, flags=(*turn.flags, "empty"))


def text_of(value: object) -> str:
    """A JSON value that stands where a text belongs, as text; null is empty."""
    if isinstance(value, str):
        return value
    return "" if value is None else orjson.dumps(value).decode()


def id_of(value: object, place: Place) -> str:
    """The record's own id, or one made from its place where it has none that can be an id."""
    text = text_of(value).strip()
    if 0 < len(text) <= _LONGEST_ID and text.isprintable():
        return text
    return f"{place.file.partition('.')[0] or 'record'}-{place.line:06d}"


_LONGEST_ID = 200


def rest_of(record: Mapping[str, object], used: Sequence[str]) -> dict[str, object]:
    """The fields of a record that have no place of their own."""
    return {key: value for key, value in record.items() if key not in used}


def origin_of(name: str, place: Place, licence: str = "", attribution: str = "") -> Origin:
    """Where the record came from."""
    return Origin(format=name, file=place.file, line=place.line, licence=licence, attribution=attribution)
