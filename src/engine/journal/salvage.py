"""Reads rows out of a journal that SQLite cannot read: page by page, believing nothing but a row's checksum.

A row of calls, outcomes or contents is written once and never changed, so one whose checksum holds is true
wherever its page lies: in the database or in its log, reachable from the root or not. Of the few rows that
do change (`meta`, `identity`, `sessions`) the latest page counts. Formats: https://sqlite.org/fileformat2.html
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from engine.errors import JournalDamaged
from engine.journal.rows import PAGE_BYTES, is_sound

_TABLE_LEAF, _INDEX_LEAF, _INDEX_INTERIOR = 0x0D, 0x0A, 0x02
_MAGIC = b"SQLite format 3\0"
_WAL_MAGIC = (0x377F0682, 0x377F0683)
_WAL_HEAD, _FRAME_HEAD = 32, 24
# Those columns are REAL: SQLite keeps 5.0 as 5.
_CALL_FLOATS, _OUTCOME_FLOATS, _SESSION_FLOATS = (11, 12), (9,), (1, 2)


class SavedRow(NamedTuple):
    """A row of `table`, its columns in the table's order, the checksum among them."""

    table: str
    columns: tuple[object, ...]


class Salvage:
    """The rows of the journal at `path` that can be read; the file is opened by nobody else. Enter it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = ExitStack()
        self._log_pages: dict[int, int] = {}
        self._page_bytes = PAGE_BYTES

    def __enter__(self) -> Salvage:
        self._base = self._open(self._path)
        self._log = self._open(self._path.with_name(f"{self._path.name}-wal"))
        if self._base[:16] == _MAGIC and (size := int.from_bytes(self._base[16:18], "big")) >= 512:
            self._page_bytes = size
        self._frames = list(self._find_frames())
        self._log_pages = dict(self._frames)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def rows(self) -> Iterator[SavedRow]:
        """Every row, streaming, the older pages first; the same row may come several times."""
        for number in range(1, -(-len(self._base) // self._page_bytes) + 1):
            yield from self._rows_of(
                self._base[(number - 1) * self._page_bytes :][: self._page_bytes], number
            )
        for number, at in self._frames:
            yield from self._rows_of(self._log[at : at + self._page_bytes], number)

    def _open(self, path: Path) -> memoryview:
        try:
            if path.stat().st_size == 0:
                return memoryview(b"")
            file = self._stack.enter_context(path.open("rb"))
        except FileNotFoundError:
            return memoryview(b"")
        except OSError as error:
            raise JournalDamaged(f"{path}: cannot be read ({error.strerror}).") from error
        mapped = self._stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return self._stack.enter_context(memoryview(mapped))

    def _find_frames(self) -> Iterator[tuple[int, int]]:
        """(page number, place of the page) of the log's frames, but for those left of an earlier log."""
        log = self._log
        is_known = len(log) >= _WAL_HEAD and int.from_bytes(log[:4], "big") in _WAL_MAGIC
        salts = bytes(log[16:24])
        at = _WAL_HEAD
        while at + _FRAME_HEAD + self._page_bytes <= len(log):
            if not is_known or log[at + 8 : at + 16] == salts:
                yield int.from_bytes(log[at : at + 4], "big"), at + _FRAME_HEAD
            at += _FRAME_HEAD + self._page_bytes

    def _page(self, number: int) -> memoryview:
        if (at := self._log_pages.get(number)) is not None:
            return self._log[at : at + self._page_bytes]
        return self._base[(number - 1) * self._page_bytes : number * self._page_bytes]

    def _rows_of(self, page: memoryview, number: int) -> Iterator[SavedRow]:
        start = 100 if number == 1 else 0
        if len(page) < start + 12 or page[start] not in (_TABLE_LEAF, _INDEX_LEAF, _INDEX_INTERIOR):
            return
        kind = page[start]
        first = start + (12 if kind == _INDEX_INTERIOR else 8)
        for i in range(int.from_bytes(page[start + 3 : start + 5], "big")):
            pointer = first + 2 * i
            if pointer + 2 > len(page):
                return
            try:
                columns = self._cell(page, int.from_bytes(page[pointer : pointer + 2], "big"), kind)
                row = _recognise(columns, is_table=kind == _TABLE_LEAF)
            except (IndexError, ValueError, struct.error):  # the cell was hit
                continue
            if row is not None:
                yield row

    def _cell(self, page: memoryview, at: int, kind: int) -> tuple[object, ...]:
        if kind == _INDEX_INTERIOR:
            at += 4
        size, at = _varint(page, at)
        rowid = None
        if kind == _TABLE_LEAF:
            rowid, at = _varint(page, at)
        usable = self._page_bytes
        most = usable - 35 if kind == _TABLE_LEAF else (usable - 12) * 64 // 255 - 23
        local = size
        if size > most:
            fewest = (usable - 12) * 32 // 255 - 23
            local = fewest + (size - fewest) % (usable - 4)
            local = local if local <= most else fewest
        payload = bytearray(page[at : at + local])
        if local < size:
            following = int.from_bytes(page[at + local : at + local + 4], "big")
            while len(payload) < size and following:
                more = self._page(following)
                if len(more) < usable:
                    raise ValueError("a page of the row is missing")
                payload += more[4 : 4 + min(usable - 4, size - len(payload))]
                following = int.from_bytes(more[:4], "big")
        if len(payload) != size:
            raise ValueError("a part of the row is missing")
        columns = list(_record(bytes(payload)))
        if rowid is not None and columns and columns[0] is None:
            columns[0] = rowid
        return tuple(columns)


def _varint(data: memoryview | bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(8):
        byte = data[at + i]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + i + 1
    return value << 8 | data[at + 8], at + 9


def _record(payload: bytes) -> Iterator[object]:
    end, at = _varint(payload, 0)
    body = end
    while at < end:
        kind, at = _varint(payload, at)
        size = (kind - 12) // 2 if kind >= 12 else (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)[kind]
        value = payload[body : body + size]
        if len(value) < size:
            raise ValueError("a value is cut off")
        body += size
        if kind == 0:
            yield None
        elif kind == 7:
            yield struct.unpack(">d", value)[0]
        elif kind in (8, 9):
            yield kind - 8
        elif kind < 12:
            yield int.from_bytes(value, "big", signed=True)
        else:
            yield value.decode() if kind % 2 else value


def _recognise(columns: tuple[object, ...], *, is_table: bool) -> SavedRow | None:
    """Which table a row is of: by its checksum where it has one, else by its shape."""
    kinds = tuple(type(value) for value in columns)
    match is_table, len(columns):
        case True, 17:
            return _checked("calls", _floats(columns, _CALL_FLOATS))
        case True, 12:
            return _checked("outcomes", _floats(columns, _OUTCOME_FLOATS))
        case True, 6 if kinds[0] is int and kinds[4:] == (int, str):
            return SavedRow("sessions", _floats(columns, _SESSION_FLOATS))
        case False, 4:
            return _checked("contents", columns)
        case False, 3 if kinds == (str, str, str):
            return SavedRow("identity", columns)
        case False, 2 if kinds == (str, str):
            return SavedRow("meta", columns)
    return None


def _floats(columns: tuple[object, ...], places: tuple[int, ...]) -> tuple[object, ...]:
    return tuple(
        float(value) if place in places and type(value) is int else value
        for place, value in enumerate(columns)
    )


def _checked(table: str, columns: tuple[object, ...]) -> SavedRow | None:
    return SavedRow(table, columns) if is_sound(table, columns) else None
