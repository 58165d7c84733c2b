"""The formats of an export, and the writer of each: conversations in, files in a folder out, one at a time.

A record that was not changed and stays in the format it came in keeps its own bytes; labels that were added
since stand beside them, under `further_annotations`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Protocol

import orjson

from engine.dataset.encode_chat import encode_openai, encode_sharegpt, plain_openai
from engine.dataset.encode_convokit import ConvoKitFolder
from engine.dataset.encode_jsonl import encode_jsonl
from engine.dataset.encode_recllmsim import encode_recllmsim
from engine.dataset.encode_tables import CsvFile, JsonLinesFile, ParquetFile, TableFile
from engine.dataset.export_folder import create
from engine.dataset.record_format import parse
from engine.dataset.tabular import Table, conversation_table, utterance_table
from engine.schema.annotation import DATASET
from engine.schema.dataset import Conversation

SUFFIXES = {
    "engine": ".jsonl", "reference": ".jsonl", "jsonl": ".jsonl", "openai": ".jsonl", "sharegpt": ".jsonl",
    "csv": ".csv", "parquet": ".parquet",
}  # fmt: skip
"""Formats that may be one file, and how its name ends."""
FORMATS = (
    "recllmsim", "reference", "jsonl", "parquet", "sharegpt", "openai", "huggingface", "csv", "convokit",
    "croissant",
)  # fmt: skip
"""Formats that any dataset can be written in."""
TABULAR = ("jsonl", "csv", "parquet", "huggingface", "croissant")
"""Formats that tables, and so views, can be written in."""
_FAMILY = {"recllmsim", "reference"}


@dataclass(frozen=True, slots=True)
class Written:
    """A file or files of one table and part: the pattern of its path in the folder, and its columns."""

    table: Table
    part: str
    pattern: str


class Writer(Protocol):
    """Takes conversations, each with its part; `close` ends every file."""

    def write(self, conversation: Conversation, part: str) -> Mapping[str, int]:
        """Write one; how many rows of which table that were."""
        ...

    def close(self, corpus: Mapping[str, object]) -> None: ...

    @property
    def written(self) -> Sequence[Written]: ...


class RecordWriter:
    """One record a line; a file for each part."""

    written: Sequence[Written] = ()

    def __init__(self, folder: Path, stem: str, encode: Callable[[Conversation], bytes | None]) -> None:
        self._folder, self._stem, self._encode = folder, stem, encode
        self._files: dict[str, JsonLinesFile] = {}

    def write(self, conversation: Conversation, part: str) -> Mapping[str, int]:
        record = self._encode(conversation)
        if record is None:
            return {"records": 0}
        if part not in self._files:
            self._files[part] = JsonLinesFile(self._folder / f"{_joined(self._stem, part)}.jsonl")
        self._files[part].add_raw(record)
        return {"records": 1}

    def close(self, corpus: Mapping[str, object]) -> None:
        for file in self._files.values():
            file.close()


class TableWriter:
    """Some tables, each with a file (or shards) for each part."""

    def __init__(self, folder: Path, form: str, tables: Sequence[Table]) -> None:
        self._folder, self._form, self._tables = folder, form, tables
        self._files: dict[tuple[str, str], TableFile] = {}
        self.written: list[Written] = []

    def write(self, conversation: Conversation, part: str) -> Mapping[str, int]:
        rows = {}
        with self._abandoning():
            for table in self._tables:
                number = 0
                for row in table.rows(conversation):
                    self._file(table, part).add(row)
                    number += 1
                rows[table.name] = number
        return rows

    def close(self, corpus: Mapping[str, object]) -> None:
        with self._abandoning():
            for file in self._files.values():
                file.close()

    @contextmanager
    def _abandoning(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            for file in self._files.values():
                if isinstance(file, ParquetFile):
                    file.abandon()
            raise

    def _file(self, table: Table, part: str) -> TableFile:
        key = (table.name, part)
        if key not in self._files:
            self._files[key], pattern = self._begin(table, part)
            self.written.append(Written(table, part, pattern))
        return self._files[key]

    def _begin(self, table: Table, part: str) -> tuple[TableFile, str]:
        name = _joined(table.name, part)
        match self._form:
            case "csv":
                return CsvFile(self._folder / f"{name}.csv", table.columns), f"{name}.csv"
            case "parquet":
                path = self._folder / f"{name}.parquet"
                return ParquetFile(lambda shard: path, table.columns), f"{name}.parquet"
            case "huggingface":
                below = self._folder / table.name
                split = part or "train"
                file = ParquetFile(
                    lambda shard: below / f"{split}-{shard:05d}.parquet", table.columns, is_sharded=True
                )
                return file, f"{table.name}/{split}-*.parquet"
            case _:
                return JsonLinesFile(self._folder / f"{name}.jsonl"), f"{name}.jsonl"


class ReleaseWriter:
    """The RecLLMSim release: a folder for each task (in one for each part), a numbered file a conversation.

    A conversation whose id ends in a number, as ids of the release do, keeps it where it is free.
    """

    written: Sequence[Written] = ()

    def __init__(self, folder: Path, author: str | None) -> None:
        self._folder, self._author = folder, author
        self._numbers: dict[Path, count[int]] = {}

    def write(self, conversation: Conversation, part: str) -> Mapping[str, int]:
        # A task's name is the data's own, and may hold what no name of a folder may.
        task = conversation.task.replace("/", "-").replace("\0", "").strip(" .") or "no task"
        folder = self._folder / part / task[:80]
        with create(self._free(folder, conversation)) as file:
            file.write(_release_bytes(conversation, self._author))
        return {"records": 1}

    def close(self, corpus: Mapping[str, object]) -> None:
        pass

    def _free(self, folder: Path, conversation: Conversation) -> Path:
        own = conversation.conversation_id.rpartition("-")[2]
        if conversation.origin.format in _FAMILY and own.isascii() and own.isdigit() and len(own) < 10:
            path = folder / f"{int(own)}.json"
            if not path.exists():
                return path
        numbers = self._numbers.setdefault(folder, count())
        return next(path for number in numbers if not (path := folder / f"{number}.json").exists())


class ConvoKitWriter:
    """A ConvoKit corpus; parts are meta data of its conversations."""

    written: Sequence[Written] = ()

    def __init__(self, folder: Path, author: str | None) -> None:
        self._corpus = ConvoKitFolder(folder, author)

    def write(self, conversation: Conversation, part: str) -> Mapping[str, int]:
        return {"utterances": self._corpus.add(conversation, part)}

    def close(self, corpus: Mapping[str, object]) -> None:
        self._corpus.close(corpus)


def make_writer(
    form: str,
    folder: Path,
    *,
    own: str,
    view: Table | None = None,
    author: str | None = None,
    plain: bool = False,
    tables: Iterable[str] = ("conversations", "utterances"),
) -> Writer:
    """The writer of a format into an empty folder. `own` is the format that the dataset came in."""
    if view is not None:
        if form in ("openai", "sharegpt"):
            return RecordWriter(folder, view.name, lambda each: _chat(view, each, form))
        return TableWriter(folder, form, [view])
    if form == "recllmsim":
        return ReleaseWriter(folder, author)
    if form == "convokit":
        return ConvoKitWriter(folder, author)
    if form in ("csv", "parquet", "huggingface", "croissant"):
        known = {table.name: table for table in (conversation_table(author), utterance_table(author))}
        return TableWriter(folder, form, [known[name] for name in tables])
    return RecordWriter(folder, "conversations", lambda each: _record(each, form, own, author, plain=plain))


def _joined(stem: str, part: str) -> str:
    return f"{stem}-{part}" if part else stem


def _record(conversation: Conversation, form: str, own: str, author: str | None, *, plain: bool) -> bytes:
    if plain:
        return orjson.dumps(plain_openai(conversation))
    if form == own and conversation.source_bytes:
        return _as_it_came(conversation)
    if form == "reference" and own == "recllmsim" and conversation.source_bytes:
        return orjson.dumps({"id": conversation.conversation_id} | parse(_as_it_came(conversation)))
    match form:
        case "reference":
            return orjson.dumps(encode_recllmsim(conversation, author, with_id=True))
        case "openai":
            return orjson.dumps(encode_openai(conversation, author))
        case "sharegpt":
            return orjson.dumps(encode_sharegpt(conversation, author))
        case _:
            return orjson.dumps(encode_jsonl(conversation, author))


def _release_bytes(conversation: Conversation, author: str | None) -> bytes:
    option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    if conversation.source_bytes and conversation.origin.format == "recllmsim":
        raw = _as_it_came(conversation)
        if raw is conversation.source_bytes and "id" not in parse(raw):
            return raw
    if conversation.source_bytes and conversation.origin.format in _FAMILY:
        record = parse(_as_it_came(conversation))
        named = record.pop("id", None)
        return orjson.dumps(record if named is None else record | {"conversation_id": named}, option=option)
    return orjson.dumps(encode_recllmsim(conversation, author), option=option)


def _as_it_came(conversation: Conversation) -> bytes:
    """The record's own bytes, with the annotations that were added since, if any."""
    added = [
        {"turn": each.target.turn, "kind": each.kind, "author": each.author, "rubric": each.rubric,
         "value": each.value, "details": dict(each.details)}
        for of in (conversation.annotations, *(turn.annotations for turn in conversation.turns))
        for each in of
        if each.author != DATASET
    ]  # fmt: skip
    if not added:
        return conversation.source_bytes
    return orjson.dumps(parse(conversation.source_bytes) | {"further_annotations": added})


def _chat(view: Table, conversation: Conversation, form: str) -> bytes | None:
    """The simulator's view as a chat record; None where the view has no row."""
    row = next(iter(view.rows(conversation)), None)
    if row is None:
        return None
    messages = row["messages"]
    assert isinstance(messages, list)
    if form == "openai":
        return orjson.dumps({"messages": messages})
    speakers = {"user": "human", "assistant": "gpt", "system": "system"}
    said = [{"from": speakers[each["role"]], "value": each["content"]} for each in messages]
    return orjson.dumps({"id": row["conversation_id"], "conversations": said})
