"""The journal's tables and rows, and the checksum that each row carries.

Shape (measured, see docs/design.md): calls are append-only under an integer key and have no other
index; a finished item has one row in `outcomes`, which lists the call rows that made it and is the
only thing looked up by name. SQLite's own integrity check does not see a flipped bit inside a value,
so every row carries a CRC-32 over all of its columns.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import TypeAlias

from engine.errors import JournalDamaged
from engine.schema.call import CallRecord, OutcomeRecord

Columns: TypeAlias = tuple[object, ...]
"""A row as SQLite returns it."""

SCHEMA_VERSION = 1
PAGE_BYTES = 16384

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE identity (
    stage TEXT NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (stage, field)
) WITHOUT ROWID;
CREATE TABLE contents (
    kind TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE TABLE sessions (
    session INTEGER PRIMARY KEY, started_at REAL NOT NULL, ended_at REAL, ended_as TEXT,
    concurrency INTEGER NOT NULL, settings TEXT NOT NULL
);
CREATE TABLE calls (
    seq INTEGER PRIMARY KEY,
    stage TEXT NOT NULL, item TEXT NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
    kind TEXT NOT NULL, request_digest BLOB NOT NULL, reply BLOB NOT NULL,
    endpoint TEXT NOT NULL, session INTEGER NOT NULL, tries INTEGER NOT NULL,
    sent_at REAL NOT NULL, latency_s REAL NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE TABLE outcomes (
    seq INTEGER PRIMARY KEY,
    stage TEXT NOT NULL, item TEXT NOT NULL, result TEXT NOT NULL, note TEXT NOT NULL,
    rounds INTEGER NOT NULL, calls BLOB NOT NULL, as_of INTEGER NOT NULL, low_water INTEGER NOT NULL,
    ended_at REAL NOT NULL, session INTEGER NOT NULL, checksum INTEGER NOT NULL
);
CREATE INDEX outcomes_by_item ON outcomes (stage, item);
"""


def call_values(record: CallRecord) -> Columns:
    """The columns of a call row in table order, the checksum last."""
    (
        seq, stage, item, step, attempt, kind, digest, reply, endpoint, session, tries, sent_at, latency_s,
        prompt_tokens, completion_tokens, cached_tokens,
    ) = record  # fmt: skip
    # As `checksum` has it for any row, at a third of its cost: there is one of these for each call.
    words = (
        f"{seq}\0{stage}\0{item}\0{step}\0{attempt}\0{kind}\0{len(digest)}\0{len(reply)}\0{endpoint}\0{session}"
        f"\0{tries}\0{sent_at.hex()}\0{latency_s.hex()}\0{prompt_tokens}\0{completion_tokens}\0{cached_tokens}"
    )
    crc = zlib.crc32(words.encode("utf-8", "surrogatepass"), zlib.crc32(reply, zlib.crc32(digest)))
    return (*record, crc)


def outcome_values(record: OutcomeRecord) -> Columns:
    """The columns of an outcome row in table order, the checksum last."""
    columns = (*record[:6], pack_seqs(record.calls), *record[7:])
    return (*columns, checksum(columns))


CALL_COLUMNS = (
    "seq, stage, item, step, attempt, kind, request_digest, reply, endpoint, session, tries,"
    " sent_at, latency_s, prompt_tokens, completion_tokens, cached_tokens, checksum"
)
OUTCOME_COLUMNS = (
    "seq, stage, item, result, note, rounds, calls, as_of, low_water, ended_at, session, checksum"
)


def checksum(columns: Columns) -> int:
    """CRC-32 over all columns: blobs as they are, floats by their bits, the rest by their text."""
    crc = 0
    words: list[str] = []
    for value in columns:
        if type(value) is bytes:
            crc = zlib.crc32(value, crc)
            words.append(str(len(value)))
        elif type(value) is float:
            words.append(value.hex())
        else:
            words.append(str(value))
    return zlib.crc32("\0".join(words).encode("utf-8", "surrogatepass"), crc)


# The checksum alone does not tell 0 from an empty blob: one bit of a record's header makes either of them.
_TYPES = {
    "calls": (
        int, str, str, str, int, str, bytes, bytes, str, int, int, float, float, int, int, int, int,
    ),
    "outcomes": (int, str, str, str, str, int, bytes, int, int, float, int, int),
    "contents": (str, str, bytes, int),
}  # fmt: skip


def is_sound(table: str, columns: Columns) -> bool:
    """Whether a row of `table` is as it was written; its last column is the checksum."""
    return checksum(columns[:-1]) == columns[-1] and tuple(map(type, columns)) == _TYPES[table]


def read_call(columns: Columns) -> CallRecord:
    """A CallRecord from a table row; raises JournalDamaged where the checksum does not hold."""
    if not is_sound("calls", columns):
        raise _unsound("calls", columns)
    return CallRecord(*columns[:-1])  # type: ignore[arg-type]


def read_outcome(columns: Columns) -> OutcomeRecord:
    """An OutcomeRecord from a table row; raises JournalDamaged where the checksum does not hold."""
    check_outcomes((columns,))
    return outcome_of(columns)


def outcome_of(columns: Columns) -> OutcomeRecord:
    """An OutcomeRecord from a table row that was checked."""
    calls = unpack_seqs(columns[6])  # type: ignore[arg-type]
    return OutcomeRecord._make((*columns[:6], calls, *columns[7:-1]))


def check_outcomes(rows: Iterable[Columns]) -> None:
    """Raise JournalDamaged for the first table row whose checksum does not hold."""
    types = _TYPES["outcomes"]
    for columns in rows:
        # As `is_sound` has it for any row, at two thirds of its cost: a resume looks at every outcome.
        if tuple(map(type, columns)) != types:
            raise _unsound("outcomes", columns)
        seq, stage, item, result, note, rounds, calls, as_of, low_water, ended_at, session, crc = columns
        words = (
            f"{seq}\0{stage}\0{item}\0{result}\0{note}\0{rounds}\0{len(calls)}"  # type: ignore[arg-type]
            f"\0{as_of}\0{low_water}\0{ended_at.hex()}\0{session}"  # type: ignore[attr-defined]
        )
        if zlib.crc32(words.encode("utf-8", "surrogatepass"), zlib.crc32(calls)) != crc:  # type: ignore[arg-type]
            raise _unsound("outcomes", columns)


def _unsound(table: str, columns: Columns) -> JournalDamaged:
    return JournalDamaged(
        f"journal row {columns[0]} of table {table} fails its checksum: the file was changed or the "
        "disk returned other bytes than were written. Nothing was overwritten. Copy the run's "
        "folder before anything else; `engine verify RUN` lists every damaged row."
    )


def pack_seqs(seqs: tuple[int, ...]) -> bytes:
    """Sequence numbers as little-endian 64-bit integers."""
    return struct.pack(f"<{len(seqs)}q", *seqs)


def unpack_seqs(packed: bytes) -> tuple[int, ...]:
    """The reverse of `pack_seqs`."""
    return struct.unpack(f"<{len(packed) // 8}q", packed[: len(packed) // 8 * 8])
