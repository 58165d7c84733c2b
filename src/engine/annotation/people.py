"""What people said of a run's conversations: `annotations.sqlite` beside the journal, each author by name.

A person has one say per kind, target and rubric: a later one takes the place of the earlier. The file is made
by the first of them, private to its owner, and is open to several processes at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import orjson

from engine.errors import CannotWrite, JournalDamaged
from engine.schema.annotation import Annotation, Target

FILE_NAME = "annotations.sqlite"
HUMAN = "human:"
_WHOLE = -1  # SQLite's NULLs are all different, and a key must not repeat
_TABLE = """
CREATE TABLE IF NOT EXISTS annotations (
    seq INTEGER PRIMARY KEY, conversation TEXT NOT NULL, turn INTEGER NOT NULL, kind TEXT NOT NULL,
    author TEXT NOT NULL, rubric TEXT NOT NULL, value TEXT NOT NULL, details TEXT NOT NULL,
    said_at REAL NOT NULL, UNIQUE (conversation, turn, kind, author, rubric)
)
"""
_COLUMNS = "conversation, turn, kind, author, rubric, value, details"


def put_people(folder: Path, annotations: Iterable[Annotation], *, said_at: float) -> int:
    """Keep what people said, all or nothing; `said_at` is Unix time. Returns how many."""
    path = folder / FILE_NAME
    count = 0
    try:
        old_mask = os.umask(0o077)
        try:
            connection = apsw.Connection(str(path))
        finally:
            os.umask(old_mask)
        with closing(connection):
            connection.set_busy_timeout(10_000)
            with connection:
                connection.execute(_TABLE)
                for each in annotations:
                    connection.execute(
                        f"INSERT OR REPLACE INTO annotations ({_COLUMNS}, said_at) VALUES (?,?,?,?,?,?,?,?)",  # noqa: S608
                        (*_row(each), said_at),
                    )
                    count += 1
    except apsw.Error as error:
        raise CannotWrite(f"{path}: cannot be written ({error}).") from error
    return count


def people_of(folder: Path, conversation_id: str | None = None) -> Iterator[Annotation]:
    """What people said of one conversation, or of all; in the order in which it was said."""
    path = folder / FILE_NAME
    if not path.is_file():
        return
    where, bindings = ("", ()) if conversation_id is None else ("WHERE conversation=?", (conversation_id,))
    try:
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            connection.set_busy_timeout(10_000)
            sql = f"SELECT {_COLUMNS} FROM annotations {where} ORDER BY seq"  # noqa: S608
            for row in connection.execute(sql, bindings):
                yield _annotation(row)
    except apsw.Error as error:
        raise JournalDamaged(f"{path}: cannot be read ({error}).") from error


def _row(annotation: Annotation) -> tuple[str, int, str, str, str, str, str]:
    target = annotation.target
    return (
        target.conversation_id,
        _WHOLE if target.turn is None else target.turn,
        str(annotation.kind),
        annotation.author,
        annotation.rubric,
        orjson.dumps(annotation.value).decode(),
        orjson.dumps(dict(annotation.details)).decode(),
    )


def _annotation(row: tuple[object, ...]) -> Annotation:
    conversation, turn, kind, author, rubric, value, details = row
    where = Target(str(conversation), turn if isinstance(turn, int) and turn >= 0 else None)
    return Annotation(
        str(kind), where, orjson.loads(str(value)), str(author), str(rubric), orjson.loads(str(details))
    )
