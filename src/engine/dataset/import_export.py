"""Writes an imported run in the format it came in: the same records, byte for byte, in the same order.

A run of one file or folder comes back as one; of several, as a folder that holds each under its own name.
Records that hold no conversation come back too: an import and this export lose nothing. What lies between
records (line ends, blank lines, compression) is written afresh.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import chain, groupby
from pathlib import Path

from engine.dataset.build import replacing
from engine.errors import UsageError
from engine.journal.imports import ImportFacts, ImportRow, read_import_facts, stream_imports
from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader


def default_export_name(facts: ImportFacts) -> str:
    """The file or folder's name under which an import comes back: its own, or `imported` of several."""
    return facts.files[0].name.removesuffix(".gz") if len(facts.files) == 1 else "imported"


def write_as_imported(folder: Path, out: Path) -> int:
    """Write all records of the run in `folder` to `out` and return how many.

    Each file is replaced whole. Raises UsageError where the run was not imported, CannotWrite, DiskFull.
    """
    with closing(Reader(folder / JOURNAL_NAME)) as reader:
        facts = read_import_facts(reader)
        if facts is None:
            raise UsageError(f"run {folder.name} was not imported: it has no format that it came in.")
        written = 0
        for index, rows in groupby(stream_imports(reader), key=lambda row: row.file):
            name = facts.files[index].name.removesuffix(".gz")
            is_repeated = name in {file.name.removesuffix(".gz") for file in facts.files[:index]}
            below = f"{index + 1}-{name}" if is_repeated else name
            written += _write(
                rows, out if len(facts.files) == 1 else out / below, is_array=name.endswith(".json")
            )
        return written


def _write(rows: Iterator[ImportRow], out: Path, *, is_array: bool) -> int:
    """Write the records of one file or folder; of a `.json` file as an array, since they may span lines."""
    first = next(rows)
    if first.path:
        written = 0
        for row in chain((first,), rows):
            with replacing(out / row.path) as file:
                file.write(row.record)
            written += 1
        return written
    with replacing(out) as file:
        file.write(b"[\n" + first.record if is_array else first.record + b"\n")
        written = 1
        for row in rows:
            file.write(b",\n" + row.record if is_array else row.record + b"\n")
            written += 1
        if is_array:
            file.write(b"\n]\n")
    return written
