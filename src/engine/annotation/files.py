"""Annotations as files: CSV and JSON Lines, one statement a row, for people's tools and back again.

Columns: kind, conversation, turn (from 0; empty for the whole conversation), author, rubric, value, details.
A value is JSON, or in the short form that people type: a label, several joined by `|`, `true`, `4`. Whoever
imports is told of the first row that does not hold, by its line; then nothing is kept. In CSV an id that a
spreadsheet would take for a formula has an apostrophe before it, which import takes away again.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

import orjson

from engine.annotation.people import HUMAN
from engine.errors import BadInput
from engine.schema.annotation import METRICS, Annotation, Kind, Target
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation

COLUMNS = ("kind", "conversation", "turn", "author", "rubric", "value", "details")
_NEEDED = ("kind", "conversation", "value")
_TURN_OF = {
    Kind.INTENT: Role.USER, Kind.HALLUCINATION: Role.ASSISTANT, Kind.SATISFACTION: Role.USER,
    Kind.CONSISTENCY: Role.USER, Kind.RATING: None, Kind.PREFERENCE_SUMMARY: None, Kind.GOAL: None,
    Kind.PROFILE_MAPPED: None, Kind.PROFILE_RECOVERED: None,
}  # fmt: skip
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_LONGEST_CELL = 1 << 30
_MOST = {metric.name: metric.most for metric in METRICS}


def read_annotation_file(path: Path, author: str | None) -> list[tuple[int, Annotation]]:
    """(line, annotation) of each row. `author` is whoever said what names nobody. Raises BadInput."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(_rows_of(path, file))
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8.") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}).") from error
    if not rows:
        raise BadInput(f"{path}: holds no annotation.")
    found = []
    for line, row in rows:
        try:
            found.append((line, _annotation(row, author)))
        except ValueError as error:
            raise BadInput(f"{path}, line {line}: {error}. Nothing was imported.") from None
    return found


def check_targets(
    path: Path, rows: Iterable[tuple[int, Annotation]], conversations: Iterable[Conversation]
) -> None:
    """Raise BadInput for a row about a conversation or turn that is not there, or not of that speaker."""
    wanted: dict[str, list[tuple[int, Annotation]]] = {}
    for line, annotation in rows:
        wanted.setdefault(annotation.target.conversation_id, []).append((line, annotation))
    for conversation in conversations:
        for line, annotation in wanted.pop(conversation.conversation_id, ()):
            turn = annotation.target.turn
            speaker = _TURN_OF.get(Kind(annotation.kind)) if annotation.kind in set(Kind) else None
            if turn is not None and turn >= len(conversation.turns):
                raise BadInput(
                    f"{path}, line {line}: {conversation.conversation_id} has {len(conversation.turns)} "
                    f"turns, counted from 0; there is no turn {turn}. Nothing was imported."
                )
            if turn is not None and speaker is not None and conversation.turns[turn].role is not speaker:
                raise BadInput(
                    f"{path}, line {line}: turn {turn} of {conversation.conversation_id} is not the "
                    f"{speaker.value}'s, whom {annotation.kind} is about. Nothing was imported."
                )
        if not wanted:
            return
    for missing, about in wanted.items():
        raise BadInput(
            f"{path}, line {about[0][0]}: the run has no conversation {missing!r}. Nothing was imported."
        )


def write_annotation_file(path: Path, file: TextIO, annotations: Iterable[Annotation]) -> int:
    """Write annotations to `file`, as CSV where `path` ends so, else as JSON Lines; how many."""
    written = 0
    writer = csv.writer(file) if path.suffix.lower() == ".csv" else None
    if writer is not None:
        writer.writerow(COLUMNS)
    for each in annotations:
        written += 1
        turn = each.target.turn
        value, details = each.value, dict(each.details)
        fields = (str(each.kind), each.target.conversation_id, turn, each.author, each.rubric)
        if writer is None:
            row = dict(zip(COLUMNS, (*fields, value, details), strict=True))
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE).decode())
        else:
            texts = ["" if field is None else _shielded(str(field)) for field in fields]
            writer.writerow([*texts, orjson.dumps(value).decode(), orjson.dumps(details).decode()])
    return written


def _shielded(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _unshielded(cell: object) -> object:
    if isinstance(cell, str) and cell.startswith("'") and cell[1:].startswith(_FORMULA):
        return cell[1:]
    return cell


def _rows_of(path: Path, file: TextIO) -> Iterator[tuple[int, Mapping[str, object]]]:
    if path.suffix.lower() == ".csv":
        csv.field_size_limit(_LONGEST_CELL)  # the library's own limit is below that of a long turn
        reader = csv.DictReader(file, strict=True)
        missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
        if missing:
            raise BadInput(
                f"{path}, line 1: the column {missing[0]!r} is missing; columns are {', '.join(COLUMNS)}, of "
                "which turn, author, rubric and details may be left out."
            )
        try:
            for row in reader:
                yield reader.line_num, {name: _unshielded(cell) for name, cell in row.items()}
        except csv.Error as error:
            raise BadInput(f"{path}, line {reader.line_num}: is no CSV: {error}.") from error
        return
    for line, text in enumerate(file, 1):
        if text.strip():
            try:
                row = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise BadInput(f"{path}, line {line}: is no JSON ({error}).") from error
            if not isinstance(row, dict):
                raise BadInput(f"{path}, line {line}: is no JSON object.")
            yield line, row


def _annotation(row: Mapping[str, object], author: str | None) -> Annotation:
    """The annotation of one row; raises ValueError in words for whoever typed it."""
    kind = str(row.get("kind") or "").strip()
    if kind not in set(Kind):
        raise ValueError(f"{kind!r} is no kind of annotation; known are {', '.join(Kind)}")
    conversation = str(row.get("conversation") or "").strip()
    if not conversation:
        raise ValueError("`conversation` is empty")
    turn = _turn(row.get("turn"))
    is_about_turn = _TURN_OF.get(Kind(kind), ...)
    if is_about_turn is not ... and (turn is None) != (is_about_turn is None):
        about = "the whole conversation: leave `turn` empty" if is_about_turn is None else "a turn: number it"
        raise ValueError(f"{kind} is about {about}")
    details = _json(row.get("details") or {})
    return Annotation(
        kind,
        Target(conversation, turn),
        read_value(Kind(kind), row.get("value")),
        _author(str(row.get("author") or "").strip() or author),
        str(row.get("rubric") or "").strip(),
        details if isinstance(details, dict) else {},
    )


def _turn(value: object) -> int | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    text = str(value).strip()
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()):
        raise ValueError(f"`turn` is {value!r}; it counts turns from 0")
    return int(text)


def _author(name: str | None) -> str:
    if not name:
        raise ValueError("it names no author: fill the column `author`, or give --author NAME")
    own = name.removeprefix(HUMAN).strip()
    if not own or own == "dataset" or own.startswith("judge:"):
        raise ValueError(f"{name!r} is no person's name: judges and the data speak for themselves")
    return f"{HUMAN}{own}"


def read_value(kind: Kind, value: object) -> object:
    """A value of `kind` in its usual form; raises ValueError."""
    value = _json(value)
    match kind:
        case Kind.INTENT:
            labels = value.split("|") if isinstance(value, str) else value
            if isinstance(labels, list) and labels and all(isinstance(x, str) and x.strip() for x in labels):
                return [label.strip() for label in labels]
            raise ValueError("`value` is no label and no list of labels")
        case Kind.HALLUCINATION:
            if value is None or isinstance(value, bool):
                return {"hallucination": value, "memo": ""}
            if isinstance(value, dict) and isinstance(value.get("hallucination"), bool | None):
                return {"hallucination": value.get("hallucination"), "memo": str(value.get("memo") or "")}
            raise ValueError("`value` is neither true nor false (nor null: cannot tell)")
        case Kind.SATISFACTION:
            if type(value) is int and 1 <= value <= 5:
                return value
            raise ValueError("`value` is no whole number from 1 to 5")
        case Kind.RATING:
            return _rating(value)
        case Kind.PREFERENCE_SUMMARY:
            phrases = value.split("|") if isinstance(value, str) else value
            if isinstance(phrases, list) and all(isinstance(x, str) and x.strip() for x in phrases):
                return [phrase.strip() for phrase in phrases]
            raise ValueError("`value` is no list of phrases")
        case Kind.TRANSLATION:
            if isinstance(value, dict) and isinstance(value.get("language"), str):
                return value
            raise ValueError("`value` is no object with `language`")
    return value


def _rating(value: object) -> dict[str, int]:
    if not isinstance(value, dict) or not value:
        raise ValueError("`value` is no object that gives measures their number")
    for name, score in value.items():
        if name not in _MOST:
            raise ValueError(f"{name!r} is no measure; known are {', '.join(_MOST)}")
        if type(score) is not int or not 0 <= score <= _MOST[name]:
            raise ValueError(f"{name} is {score!r}, and a whole number from 0 to {_MOST[name]} is meant")
    return value


def _json(value: object) -> object:
    """What a cell says: JSON where it is some, else its text."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
