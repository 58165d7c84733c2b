"""Imported records in a run's journal: rows of their own kind, each with its bytes as they came.

The table is made when something is imported, so that journals of other runs stay as they are. A row is
written once and never changed; the numbers are the order of import, which is the order of the dataset. The
file's name and the line say where a record came from, and a resume begins behind the last line that is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

from engine.errors import JournalDamaged
from engine.journal.journal import Journal
from engine.journal.reader import Reader
from engine.journal.rows import checksum
from engine.journal.writer import Statement

_META = "import"
_TABLE = """
CREATE TABLE IF NOT EXISTS imports (
    seq INTEGER PRIMARY KEY, item TEXT NOT NULL, file INTEGER NOT NULL, line INTEGER NOT NULL,
    path TEXT NOT NULL, problem TEXT NOT NULL, record BLOB NOT NULL, checksum INTEGER NOT NULL
)
"""
_INDEX = "CREATE UNIQUE INDEX IF NOT EXISTS imports_by_item ON imports (item)"
_SELECT = "SELECT seq, item, file, line, path, problem, record, checksum FROM imports"


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """A file as it was imported: its name, the digest of its bytes, and whether it was read to its end."""

    name: str
    sha256: str
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class ImportFacts:
    """What a run was imported from. `settings` are what the records are read with (format, licence, ...)."""

    settings: dict[str, str]
    files: tuple[ImportedFile, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every file was read to its end."""
        return all(file.is_complete for file in self.files)


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One record. `file` counts the run's files from 0, `line` its lines from 1; `path` is its place below a
    folder. `problem` says why the record holds no conversation, and is empty where it holds one.
    """

    seq: int
    item: str
    file: int
    line: int
    path: str
    problem: str
    record: bytes


async def prepare_imports(journal: Journal) -> None:
    """Make the table, where it is missing."""
    await journal.write([Statement(_TABLE, ()), Statement(_INDEX, ())])


async def put_import_facts(journal: Journal, facts: ImportFacts) -> None:
    """Keep what the run is imported from."""
    files = [[file.name, file.sha256, file.is_complete] for file in facts.files]
    document = orjson.dumps({"settings": facts.settings, "files": files}).decode()
    await journal.put_meta(_META, document)


async def append_imports(journal: Journal, rows: Sequence[ImportRow]) -> None:
    """Write rows; returns once they are on disk."""
    marks = ",".join("?" * 8)
    await journal.write([Statement(f"INSERT INTO imports VALUES ({marks})", _values(row)) for row in rows])  # noqa: S608


def read_import_facts(reader: Reader) -> ImportFacts | None:
    """What a run was imported from; None for a run that was not imported."""
    text = reader.meta(_META)
    if text is None:
        return None
    document = orjson.loads(text)
    return ImportFacts(document["settings"], tuple(ImportedFile(*file) for file in document["files"]))


def stream_imports(reader: Reader) -> Iterator[ImportRow]:
    """All rows in order of import, streaming; raises JournalDamaged at a row whose checksum does not hold."""
    for columns in reader.rows_of("imports", f"{_SELECT} ORDER BY seq"):
        yield _read(columns)


def find_import(reader: Reader, item: str) -> ImportRow | None:
    """The row of one record by its conversation's id."""
    sql = f"{_SELECT} WHERE item=?"
    return next((_read(columns) for columns in reader.rows_of("imports", sql, (item,))), None)


def known_items(reader: Reader, items: Sequence[str]) -> set[str]:
    """Those of `items` that rows have."""
    marks = ",".join("?" * len(items))
    rows = reader.rows_of("imports", f"SELECT item FROM imports WHERE item IN ({marks})", tuple(items))  # noqa: S608
    return {str(item) for (item,) in rows}


def last_import(reader: Reader) -> tuple[int, int, int]:
    """(seq, file, line) of the last row; (0, 0, 0) where there is none."""
    rows = reader.rows_of("imports", "SELECT seq, file, line FROM imports ORDER BY seq DESC LIMIT 1")
    return next(((int(s), int(f), int(n)) for s, f, n in rows), (0, 0, 0))  # type: ignore[call-overload]


def count_imports(reader: Reader) -> tuple[int, int]:
    """(records, of which hold no conversation)."""
    rows = reader.rows_of("imports", "SELECT count(*), coalesce(sum(problem<>''), 0) FROM imports")
    return next(((int(all_), int(bad)) for all_, bad in rows), (0, 0))  # type: ignore[call-overload]


def damaged_imports(reader: Reader) -> Iterator[str]:
    """What is wrong with the rows, one line each."""
    for columns in reader.rows_of("imports", f"{_SELECT} ORDER BY seq"):
        if checksum(columns[:-1]) != columns[-1]:
            yield f"imports row {columns[0]} ({columns[1]}): checksum does not hold"


def _values(row: ImportRow) -> tuple[object, ...]:
    columns = (row.seq, row.item, row.file, row.line, row.path, row.problem, row.record)
    return (*columns, checksum(columns))


def _read(columns: tuple[object, ...]) -> ImportRow:
    if checksum(columns[:-1]) != columns[-1]:
        raise JournalDamaged(
            f"journal row {columns[0]} of table imports fails its checksum: the file was changed or the disk "
            "returned other bytes than were written. Copy the run's folder before anything else; the record "
            "can be imported again, into another run, from the file it came from."
        )
    return ImportRow(*columns[:-1])  # type: ignore[arg-type]
