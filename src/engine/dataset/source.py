"""`open_dataset`: any dataset as a stream of `Conversation`, in its own order and in bounded memory.

A dataset is (a) a run of the engine, finished or running, in plan order; (b) an imported run, in the order
of import; (c) a file or folder in a format that import knows. Whoever reads conversations, reads them here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import orjson

from engine.dataset.build import stream_records
from engine.dataset.engine_record import read_engine_record
from engine.dataset.formats import find_format, format_of_settings
from engine.dataset.record_format import NotARecord, Place, RecordFormat, decode
from engine.dataset.source_files import stream_raw
from engine.errors import BadInput
from engine.journal.imports import count_imports, read_import_facts, stream_imports
from engine.journal.inputs import read_inputs
from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader
from engine.schema.annotation import Annotation
from engine.schema.conversation import STAGE
from engine.schema.dataset import Conversation

Annotate = Callable[[str], Iterable[Annotation]]


@dataclass(frozen=True, slots=True)
class Dataset(Iterable[Conversation]):
    """A dataset that can be gone through again and again; each time reads it anew, as it is then.

    `name`: of the run or file. `format`: `engine`, or the format of the import or file. `is_run`: whether it
    is a run's folder, which has a journal. `size`: how many conversations there are, None where only
    counting would tell. Iterating raises BadInput for a record of a file that holds no conversation;
    in an imported run such records are passed over (the import named them).
    """

    path: Path
    name: str
    format: str
    is_run: bool
    size: int | None
    _stream: Callable[[], Iterator[Conversation]]
    _annotate: Annotate | None = None

    def __iter__(self) -> Iterator[Conversation]:
        if self._annotate is None:
            return self._stream()
        annotate = self._annotate
        return (each.with_annotations(tuple(annotate(each.conversation_id))) for each in self._stream())


def open_dataset(
    path: Path,
    *,
    only_kept: bool = False,
    annotate: Annotate | None = None,
    form: RecordFormat | None = None,
) -> Dataset:
    """The dataset at `path`: the folder of a run, a file, or a folder of JSON files.

    `only_kept` leaves out what validation dropped (nothing, in imported data and files). `annotate` gives the
    further annotations of a conversation by its id, which are then carried where they belong. `form` says
    what a file's records are, where looking at the first one is not enough. Raises BadInput.
    """
    is_run = (path / JOURNAL_NAME).is_file()
    dataset = _open_run(path) if is_run else _open_files(path, form)
    if only_kept:
        stream = dataset._stream
        dataset = replace(dataset, size=None, _stream=lambda: (each for each in stream() if each.is_kept))
    return replace(dataset, _annotate=annotate)


def _open_run(folder: Path) -> Dataset:
    with closing(Reader(folder / JOURNAL_NAME)) as reader:
        facts = read_import_facts(reader)
        ended = reader.ended(STAGE)
        records, bad = count_imports(reader)
    if facts is None:
        return Dataset(folder, folder.name, "engine", True, ended, lambda: _run_conversations(folder))
    form, size = format_of_settings(facts.settings), records - bad
    return Dataset(folder, folder.name, form.name, True, size, lambda: _imported(folder, form))


def _run_conversations(folder: Path) -> Iterator[Conversation]:
    with closing(Reader(folder / JOURNAL_NAME)) as reader:
        for number, record in enumerate(stream_records(reader, read_inputs(reader)), 1):
            raw = orjson.dumps(record.fields)
            place = Place(folder.name, number)
            yield replace(read_engine_record(orjson.loads(raw), place), source_bytes=raw)


def _imported(folder: Path, form: RecordFormat) -> Iterator[Conversation]:
    with closing(Reader(folder / JOURNAL_NAME)) as reader:
        facts = read_import_facts(reader)
        names = [file.name for file in facts.files] if facts else []
        for row in stream_imports(reader):
            if row.problem:
                continue
            conversation = decode(form, row.record, Place(names[row.file], row.line, row.path))
            yield named(conversation, row.item)


def named(conversation: Conversation, conversation_id: str) -> Conversation:
    """The conversation under another id, in its annotations too; flagged where that was not its own."""
    if conversation.conversation_id == conversation_id:
        return conversation

    def moved(annotations: tuple[Annotation, ...]) -> tuple[Annotation, ...]:
        return tuple(
            replace(a, target=replace(a.target, conversation_id=conversation_id)) for a in annotations
        )

    return replace(
        conversation,
        conversation_id=conversation_id,
        annotations=moved(conversation.annotations),
        turns=tuple(replace(turn, annotations=moved(turn.annotations)) for turn in conversation.turns),
        flags=(*conversation.flags, "duplicate_id"),
    )


def _open_files(path: Path, form: RecordFormat | None) -> Dataset:
    first = next(islice(stream_raw(path), 1), None)
    if first is None:
        raise BadInput(f"{path}: holds no record.")
    found = form or find_format(*first, path)
    return Dataset(path, path.name, found.name, False, None, lambda: _file_conversations(path, found))


def _file_conversations(path: Path, form: RecordFormat) -> Iterator[Conversation]:
    for place, raw in stream_raw(path):
        try:
            yield decode(form, raw, place)
        except NotARecord as problem:
            raise BadInput(
                f"{path}, line {place.line}: this record {problem}. `engine import {path}` keeps such "
                "records apart and goes on."
            ) from None
