"""Imports files into a run of its own: each record becomes a journal row, as it came, in the files' order.

An import is resumed by repeating it: records that are there are passed over, and the rest follow. Files may
be added behind those that a run has; anything else is refused, since it would change what the run is. Ids
are unique within a run: a repeated one gets `~2`, and the conversation the flag `duplicate_id`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson

from engine.clock import Clock
from engine.dataset.formats import format_of_settings
from engine.dataset.record_format import NotARecord, Place, RecordFormat, decode
from engine.dataset.source_files import digest_of, stream_raw
from engine.errors import BadInput, UsageError
from engine.journal.imports import (
    ImportedFile,
    ImportFacts,
    ImportRow,
    append_imports,
    known_items,
    last_import,
    prepare_imports,
    put_import_facts,
    read_import_facts,
)
from engine.journal.journal import Journal

_BATCH = 256
_BATCH_BYTES = 8 << 20
_NAMED = 20


@dataclass(slots=True)
class ImportCounts:
    """What went by in this call. `problems` holds the first few records that are no conversation."""

    conversations: int = 0
    already_there: int = 0
    bad: int = 0
    problems: list[str] = field(default_factory=list)
    flags: Counter[str] = field(default_factory=Counter)
    was_complete: bool = False


def describe_files(files: Sequence[Path], settings: Mapping[str, str]) -> ImportFacts:
    """What an import of these files would be, before anything is written. Reads each of them once."""
    described = tuple(ImportedFile(file.name, digest_of(file)) for file in files)
    return ImportFacts(dict(settings), described)


def default_import_name(facts: ImportFacts) -> str:
    """The name of a run that was given none: the same files read the same way mean the same run."""
    document = orjson.dumps([sorted(facts.settings.items()), [file.sha256 for file in facts.files]])
    return f"{facts.settings['format']}-{hashlib.sha256(document).hexdigest()[:8]}"


async def import_files(folder: Path, files: Sequence[Path], facts: ImportFacts, clock: Clock) -> ImportCounts:
    """Import `files`, described by `facts`, into the run in `folder`, which may hold a part of them.

    Raises UsageError where the run holds something else, BadInput where a file cannot be read on, RunLocked,
    CannotWrite and DiskFull. What was imported before stays, and repeating the call goes on behind it.
    """
    counts = ImportCounts()
    form = format_of_settings(facts.settings)
    async with Journal(folder, clock) as journal:
        complete = _complete_files(journal, facts)
        if complete == len(files):
            counts.was_complete = True
        await prepare_imports(journal)
        facts = _with_complete(facts, complete)
        await put_import_facts(journal, facts)
        await journal.begin_session(concurrency=0, settings="{}")
        for index, file in enumerate(files):
            if index >= complete:
                await _import_file(journal, form, file, index, counts)
                facts = _with_complete(facts, index + 1)
                await put_import_facts(journal, facts)
        await journal.end_session("complete")
    return counts


def _complete_files(journal: Journal, facts: ImportFacts) -> int:
    """How many of the files the run holds whole; raises UsageError where the run is another."""
    reader = journal.reader
    name = reader.path.parent.name
    stored = read_import_facts(reader)
    if stored is None:
        if reader.meta("plan") is not None or reader.meta("config") is not None:
            raise UsageError(
                f"run {name} was held by the engine, not imported; name another one with --name."
            )
        return 0
    differing = [
        key for key in stored.settings | facts.settings if stored.settings.get(key) != facts.settings.get(key)
    ]
    if differing:
        raise UsageError(
            f"run {name} was imported with another {', '.join(sorted(differing))}; nothing was changed. "
            "Import into another run with --name NAME."
        )
    then, now = ([file.sha256 for file in each.files] for each in (stored, facts))
    if then != now[: len(then)]:
        names = ", ".join(file.name for file in stored.files)
        raise UsageError(
            f"run {name} was imported from other files ({names}), or they have changed; nothing was "
            "written. Name those files first, then new ones, or import into another run with --name NAME."
        )
    return sum(file.is_complete for file in stored.files)


def _with_complete(facts: ImportFacts, complete: int) -> ImportFacts:
    return replace(
        facts,
        files=tuple(replace(file, is_complete=index < complete) for index, file in enumerate(facts.files)),
    )


async def _import_file(
    journal: Journal, form: RecordFormat, file: Path, index: int, counts: ImportCounts
) -> None:
    seq, last_file, last_line = last_import(journal.reader)
    for batch in _batches(stream_raw(file)):
        new = batch
        if last_file == index:
            new = [(place, raw) for place, raw in batch if place.line > last_line]
            counts.already_there += len(batch) - len(new)
        rows = [
            _row(form, seq + number, index, place, raw, counts) for number, (place, raw) in enumerate(new, 1)
        ]
        if rows:
            await append_imports(journal, _unique(journal, rows, counts))
            seq = rows[-1].seq


def _batches(records: Iterator[tuple[Place, bytes]]) -> Iterator[list[tuple[Place, bytes]]]:
    batch: list[tuple[Place, bytes]] = []
    size = 0
    broken: BadInput | None = None
    try:
        for place, raw in records:
            batch.append((place, raw))
            size += len(raw)
            if len(batch) >= _BATCH or size >= _BATCH_BYTES:
                yield batch
                batch, size = [], 0
    except BadInput as error:
        broken = error  # what could be read before it is kept
    if batch:
        yield batch
    if broken is not None:
        raise broken


def _row(
    form: RecordFormat, seq: int, index: int, place: Place, raw: bytes, counts: ImportCounts
) -> ImportRow:
    """The row of one record; one that is no conversation has its place as its id, and the problem."""
    try:
        conversation = decode(form, raw, place)
    except NotARecord as problem:
        counts.bad += 1
        if len(counts.problems) < _NAMED:
            where = f"{place.file}/{place.path}" if place.path else f"{place.file}, line {place.line}"
            counts.problems.append(f"{where}: this record {problem}")
        return ImportRow(seq, f"{place.file}:{place.line}", index, place.line, place.path, str(problem), raw)
    counts.conversations += 1
    counts.flags.update(conversation.flags)
    return ImportRow(seq, conversation.conversation_id, index, place.line, place.path, "", raw)


def _unique(journal: Journal, rows: Sequence[ImportRow], counts: ImportCounts) -> list[ImportRow]:
    """The rows with ids that no other row of the run has."""
    taken = known_items(journal.reader, [row.item for row in rows])
    unique = []
    for row in rows:
        item, repeat = row.item, 1
        while item in taken or (repeat > 1 and known_items(journal.reader, [item])):
            repeat += 1
            item = f"{row.item}~{repeat}"
        taken.add(item)
        if item != row.item and not row.problem:
            counts.flags["duplicate_id"] += 1
        unique.append(replace(row, item=item))
    return unique
