"""Imported records in the journal: in order, found by id, with damage named."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from engine.clock import SystemClock
from engine.errors import JournalDamaged
from engine.journal.imports import (
    ImportedFile,
    ImportFacts,
    ImportRow,
    append_imports,
    count_imports,
    damaged_imports,
    find_import,
    known_items,
    last_import,
    prepare_imports,
    put_import_facts,
    read_import_facts,
    stream_imports,
)
from engine.journal.journal import JOURNAL_NAME, Journal
from engine.journal.reader import Reader

ROWS = [
    ImportRow(1, "b", 0, 1, "", "", b'{"id": "b"}'),
    ImportRow(2, "a", 0, 5, "", "", b"\x00\xff"),
    ImportRow(3, "f:6", 0, 6, "", "is no JSON", b"{"),
]
FACTS = ImportFacts(
    {"format": "openai"}, (ImportedFile("f.jsonl", "ab", True), ImportedFile("g.jsonl", "cd"))
)


async def imported(folder: Path) -> Reader:
    async with Journal(folder, SystemClock()) as journal:
        await prepare_imports(journal)
        await prepare_imports(journal)
        await put_import_facts(journal, FACTS)
        await append_imports(journal, ROWS)
    return Reader(folder / JOURNAL_NAME)


@pytest.mark.asyncio
async def test_rows_come_back_as_they_were_in_order(tmp_path: Path) -> None:
    reader = await imported(tmp_path)
    assert list(stream_imports(reader)) == ROWS
    assert find_import(reader, "a") == ROWS[1]
    assert find_import(reader, "c") is None
    assert known_items(reader, ["a", "c"]) == {"a"}
    assert last_import(reader) == (3, 0, 6)
    assert count_imports(reader) == (3, 1)
    assert read_import_facts(reader) == FACTS
    assert not FACTS.is_complete
    reader.close()


@pytest.mark.asyncio
async def test_a_flipped_bit_is_named_and_never_read(tmp_path: Path) -> None:
    (await imported(tmp_path)).close()
    connection = apsw.Connection(str(tmp_path / JOURNAL_NAME))
    connection.execute("UPDATE imports SET record=x'00fe' WHERE seq=2")
    connection.close()
    reader = Reader(tmp_path / JOURNAL_NAME)
    assert list(damaged_imports(reader)) == ["imports row 2 (a): checksum does not hold"]
    with pytest.raises(JournalDamaged, match="row 2 of table imports"):
        list(stream_imports(reader))
    reader.close()


@pytest.mark.asyncio
async def test_a_journal_without_imports_has_none(tmp_path: Path) -> None:
    async with Journal(tmp_path, SystemClock()) as journal:
        reader = journal.reader
        assert list(stream_imports(reader)) == []
        assert find_import(reader, "a") is None
        assert last_import(reader) == (0, 0, 0)
        assert count_imports(reader) == (0, 0)
        assert read_import_facts(reader) is None
