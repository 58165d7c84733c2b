"""The journal's one writer: a thread that commits whatever has gathered, then acknowledges it.

Group commit: callers put rows on a queue and await a future; the thread takes all that is there, writes
it in one transaction with synchronous=FULL, and only then resolves the futures (P1). While it syncs,
the next batch gathers. A failed commit ends the writer: a COMMIT that failed with an I/O error may
still be durable, so nothing is ever retried on that connection; a restart reads what is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Sequence
from functools import cache
from queue import SimpleQueue
from typing import NamedTuple

import apsw

from engine.errors import CannotWrite, DiskFull, EngineError
from engine.journal.disk_space import SpaceGuard
from engine.journal.rows import call_values, outcome_values
from engine.schema.call import CallRecord, OutcomeRecord

# A multi-row INSERT holds the GIL less than executemany; few sizes keep the statement cache hot.
_CHUNKS = (64, 16, 4, 1)
_STOP = None
# Far below a model's reply time, and some ten times what a commit costs here.
_GATHER_S = 0.002


class Statement(NamedTuple):
    """Any other write, for the few rows of a run that are neither calls nor outcomes."""

    sql: str
    bindings: tuple[object, ...]


Row = CallRecord | OutcomeRecord | Statement
_Entry = tuple[Row, "asyncio.Future[None] | None"]


class Writer:
    """Owns the writing connection from its own thread. `append` is for the event loop's thread."""

    def __init__(
        self, connection: apsw.Connection, loop: asyncio.AbstractEventLoop, guard: SpaceGuard | None = None
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._guard = guard
        self._queue: SimpleQueue[_Entry | None] = SimpleQueue()
        self._failure: EngineError | None = None
        self._rows = 0
        self._commits = 0
        self._worker = threading.Thread(target=self._write_until_stopped, name="journal-writer")
        self._worker.start()

    def append(self, row: Row) -> asyncio.Future[None]:
        """Queue `row`; the future resolves when it is on disk. Raises what ended the writer, if it did."""
        if self._failure is not None:
            raise self._failure
        future = self._loop.create_future()
        self._queue.put((row, future))
        return future

    def append_unwaited(self, row: Row) -> None:
        """Queue `row` for nobody: accounts of failed tries, which nothing later depends on."""
        if self._failure is not None:
            raise self._failure
        self._queue.put((row, None))

    async def stop(self) -> None:
        """Write what is queued, then end the thread. Safe to call twice."""
        self._queue.put(_STOP)
        await asyncio.to_thread(self._worker.join)

    def __repr__(self) -> str:
        state = "dead" if self._failure else "alive" if self._worker.is_alive() else "stopped"
        return f"Writer({state}, {self._rows} rows in {self._commits} commits)"

    def _write_until_stopped(self) -> None:
        stopping = False
        batch: list[_Entry] = []
        while not stopping:
            if len(batch) > 1:
                # Rows come fast: a moment's gathering makes fewer, larger commits. A lone row never waits.
                time.sleep(_GATHER_S)
            batch = []
            entry = self._queue.get()
            while True:
                if entry is None:
                    stopping = True
                else:
                    batch.append(entry)
                if self._queue.empty():
                    break
                entry = self._queue.get()
            if batch:
                self._commit(batch)

    def _commit(self, batch: list[_Entry]) -> None:
        error = self._failure
        if error is None:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                self._insert([row for row, _ in batch])
                self._connection.execute("COMMIT")
                self._rows += len(batch)
                self._commits += 1
                if self._guard is not None:
                    self._guard.look()
            except apsw.Error as cause:
                error = describe_write_error(cause)
                self._failure = error
        waiting = [future for _, future in batch if future is not None]
        with contextlib.suppress(RuntimeError):  # the loop may be gone after a second interrupt
            self._loop.call_soon_threadsafe(_resolve, waiting, error)

    def _insert(self, rows: Sequence[Row]) -> None:
        calls = [call_values(row) for row in rows if isinstance(row, CallRecord)]
        outcomes = [outcome_values(row) for row in rows if isinstance(row, OutcomeRecord)]
        for table, values in (("calls", calls), ("outcomes", outcomes)):
            start = 0
            for size in _CHUNKS:
                while len(values) - start >= size:
                    chunk = values[start : start + size]
                    flat = [value for columns in chunk for value in columns]
                    self._connection.execute(_insertion(table, len(chunk[0]), size), flat)
                    start += size
        for row in rows:
            if isinstance(row, Statement):
                self._connection.execute(row.sql, row.bindings)


@cache
def _insertion(table: str, columns: int, rows: int) -> str:
    row = "(" + ",".join("?" * columns) + ")"
    return f"INSERT INTO {table} VALUES {','.join([row] * rows)}"  # noqa: S608


def _resolve(futures: list[asyncio.Future[None]], error: EngineError | None) -> None:
    for future in futures:
        if future.done():  # its caller was cancelled; the row is on disk all the same
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def describe_write_error(cause: apsw.Error) -> EngineError:
    """The engine's error for a failed write, with what to do about it."""
    if isinstance(cause, apsw.FullError):
        error: EngineError = DiskFull(
            "the disk is full: the journal could not take the last replies. Everything acknowledged "
            "before is safe. Free some space, then `engine resume`."
        )
    else:
        error = CannotWrite(
            f"the journal could not be written ({cause}). Everything acknowledged before is safe. "
            "Check the disk and the run's folder, then `engine resume`."
        )
    error.__cause__ = cause
    return error
