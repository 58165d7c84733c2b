"""Rows as JSON Lines, CSV and Parquet, one at a time: memory is that of a batch, whatever the dataset's size.

CSV is read by spreadsheets, which take a cell that begins with =, +, -, @, a tab or a line end for a formula
and may run it: such a text gets an apostrophe before it. JSON Lines and Parquet hold every text as it is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import orjson

from engine.dataset.export_folder import create
from engine.dataset.tabular import TURN_COLUMNS, ColumnKind, Row, as_json
from engine.errors import UsageError

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_BATCH_ROWS = 5_000
_BATCH_BYTES = 8 << 20
_SHARD_BYTES = 256 << 20


class TableFile(Protocol):
    """A file, or files, that rows are added to."""

    def add(self, row: Row) -> None: ...

    def close(self) -> None: ...


class JsonLinesFile:
    """A row a line."""

    def __init__(self, path: Path) -> None:
        self._file = create(path)

    def add(self, row: Row) -> None:
        self._file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))

    def add_raw(self, record: bytes) -> None:
        """A record that is JSON already; line ends within it, which JSON ignores, become spaces."""
        self._file.write(record.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n")

    def close(self) -> None:
        self._file.close()


class CsvFile:
    """RFC 4180 in UTF-8 with a heading; null is an empty cell, lists and objects are JSON."""

    def __init__(self, path: Path, columns: Mapping[str, ColumnKind]) -> None:
        self._columns = columns
        self._file = io.TextIOWrapper(create(path), encoding="utf-8", errors="replace", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(columns)

    def add(self, row: Row) -> None:
        self._writer.writerow([_cell(row.get(name), kind) for name, kind in self._columns.items()])

    def close(self) -> None:
        self._file.close()


def _cell(value: object, kind: ColumnKind) -> str:
    if value is None:
        return ""
    if kind == "bool":
        return "true" if value else "false"
    if kind in ("texts", "turns", "messages"):
        value = as_json(value)
    text = str(value).replace("\0", "\ufffd")
    return f"'{text}" if kind != "int" and text.startswith(_FORMULA) else text


class ParquetFile:
    """Typed columns, zstd; `path` gives the file of each shard by its number, from 0.

    With `is_sharded` a new file is begun whenever about 256 MiB of rows went into one.
    """

    def __init__(
        self, path: Callable[[int], Path], columns: Mapping[str, ColumnKind], *, is_sharded: bool = False
    ) -> None:
        require_pyarrow()
        self._path, self._columns, self._is_sharded = path, columns, is_sharded
        self._rows: list[Row] = []
        self._bytes = self._shard_bytes = self._shard = 0
        self._schema = _schema(columns)
        self._file, self._writer = self._begin()

    def add(self, row: Row) -> None:
        self._rows.append({name: row.get(name) for name in self._columns})
        self._bytes += _size(row)
        if len(self._rows) >= _BATCH_ROWS or self._bytes >= _BATCH_BYTES:
            self._flush()
            if self._is_sharded and self._shard_bytes >= _SHARD_BYTES:
                self._end()
                self._shard += 1
                self._shard_bytes = 0
                self._file, self._writer = self._begin()

    def close(self) -> None:
        self._flush()
        self._end()

    def abandon(self) -> None:
        """Write nothing more: else a footer is tried when it is collected, and fails again, loudly."""
        self._writer.is_open = False

    def _begin(self) -> tuple[Any, Any]:
        from pyarrow.parquet import ParquetWriter

        file = create(self._path(self._shard))
        return file, ParquetWriter(file, self._schema, compression="zstd")

    def _flush(self) -> None:
        import pyarrow

        if self._rows:
            self._writer.write_table(pyarrow.Table.from_pylist(self._rows, schema=self._schema))
            self._shard_bytes += self._bytes
            self._rows, self._bytes = [], 0

    def _end(self) -> None:
        self._writer.close()
        self._file.close()


def require_pyarrow() -> None:
    """Raise UsageError, saying what to install, where Parquet cannot be written."""
    if find_spec("pyarrow") is None:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed: pip install 'recsim-engine[export]'. Other "
            "formats (jsonl, csv) need nothing."
        )


def _size(value: object) -> int:
    """About how many bytes a row takes, so that batches stay small whatever a text's length."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    return sum(map(_size, value)) if isinstance(value, list) else 8


def _schema(columns: Mapping[str, ColumnKind]) -> Any:
    import pyarrow as pa

    def struct(fields: Mapping[str, ColumnKind]) -> Any:
        return pa.list_(pa.struct([pa.field(name, types[kind]) for name, kind in fields.items()]))

    types: dict[str, Any] = {"text": pa.large_string(), "json": pa.large_string(), "int": pa.int64()}
    types |= {"bool": pa.bool_(), "texts": pa.list_(pa.large_string())}
    types["turns"] = struct(TURN_COLUMNS)
    types["messages"] = struct({"role": "text", "content": "text"})
    return pa.schema([pa.field(name, types[kind]) for name, kind in columns.items()])
