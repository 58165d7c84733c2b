"""A run's journal, opened for work: one process at a time, rows numbered here, written by the writer.

Sequence numbers are given when a row is queued, so that an outcome can name its calls without waiting
for them. The rows of an unfinished item are found without an index: the low-water mark, kept on each
outcome, says where the unfinished tail begins, and a resume scans only that tail.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, suppress
from pathlib import Path
from types import TracebackType

import apsw

from engine.clock import Clock
from engine.errors import EngineError
from engine.journal.disk_space import SpaceGuard
from engine.journal.presence import damaged, has_tables, refuse_emptied
from engine.journal.reader import Reader
from engine.journal.rows import PAGE_BYTES, SCHEMA_VERSION, TABLES, checksum
from engine.journal.run_lock import RunLock
from engine.journal.writer import Statement, Writer, describe_write_error
from engine.schema.call import NO_USAGE, CallKey, CallKind, CallRecord, OutcomeRecord, Usage

JOURNAL_NAME = "journal.sqlite"


class Journal(AbstractAsyncContextManager["Journal"]):
    """The journal of one run, held exclusively. Enter it to lock, open and scan; leave it to flush.

    Raises RunLocked before the database is touched where another process holds the run. `on_low_space` is
    called once, on the event loop, when the disk has less left than its reserve.
    """

    def __init__(
        self, folder: Path, clock: Clock, *, on_low_space: Callable[[EngineError], None] | None = None
    ) -> None:
        self._folder = folder
        self._clock = clock
        self.lock = RunLock(folder)
        self._on_low_space = on_low_space
        self._unfinished: dict[tuple[str, str], list[int]] = {}
        self._next_call = 1
        self._next_outcome = 1
        self.session = 0
        self.reader: Reader
        self._writer: Writer
        self._connection: apsw.Connection

    async def __aenter__(self) -> Journal:
        with ExitStack() as stack:
            self.lock.take()
            stack.callback(self.lock.release)
            self._connection = open_for_writing(self._folder / JOURNAL_NAME)
            stack.callback(self._connection.close)
            self.reader = Reader(self._folder / JOURNAL_NAME)
            stack.callback(self.reader.close)
            self._scan_tail()
            stack.pop_all()  # all is well: `__aexit__` closes them
        loop = asyncio.get_running_loop()
        guard = None
        if (speak := self._on_low_space) is not None:
            guard = SpaceGuard(self._folder / JOURNAL_NAME, lambda error: _on_loop(loop, speak, error))
        self._writer = Writer(self._connection, loop, guard)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._writer.stop()
        self.reader.close()
        # What is acknowledged is in the log: that it cannot be carried over into the database now is no loss.
        with suppress(apsw.Error):
            self._connection.close()
        self.lock.release()

    def __repr__(self) -> str:
        return (
            f"Journal({self._folder.name}, {self._next_call - 1} calls, {len(self._unfinished)} unfinished)"
        )

    # --- what is known -----------------------------------------------------------------------------

    def has_unfinished(self, stage: str, item: str) -> bool:
        """Whether `item` has calls that belong to no outcome."""
        return (stage, item) in self._unfinished

    def unfinished_items(self, stage: str) -> list[str]:
        """Items that have calls but no outcome, in order of their first call."""
        return [item for its_stage, item in self._unfinished if its_stage == stage]

    def history(self, stage: str, item: str, *, retried: OutcomeRecord | None = None) -> list[CallRecord]:
        """All call rows of an unfinished item, in order; of a finished one when it is taken up again."""
        seqs = list(retried.calls) if retried is not None else []
        seqs += self._unfinished.get((stage, item), [])
        return self.reader.calls(seqs) if seqs else []

    # --- writing -----------------------------------------------------------------------------------

    async def append_reply(
        self,
        key: CallKey,
        *,
        request_digest: bytes,
        reply: bytes,
        endpoint: str,
        tries: int,
        sent_at: float,
        latency_s: float,
        usage: Usage,
    ) -> int:
        """Write a paid reply and return its sequence number once it is on disk (P1)."""
        row = CallRecord(
            self._take_seq(key), *key, CallKind.REPLY, request_digest, reply, endpoint, self.session, tries,
            sent_at, latency_s, usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens,
        )  # fmt: skip
        await self._writer.append(row)
        return row.seq

    def note_failure(
        self,
        key: CallKey,
        kind: CallKind,
        *,
        request_digest: bytes,
        note: bytes,
        endpoint: str,
        tries: int,
        sent_at: float,
        latency_s: float,
        usage: Usage = NO_USAGE,
    ) -> None:
        """Write a try that brought no reply, without waiting: nothing later depends on it.

        `usage` is the most that it may have taken where it was possibly paid for.
        """
        row = CallRecord(
            self._take_seq(key), *key, kind, request_digest, note, endpoint, self.session, tries,
            sent_at, latency_s, *usage,
        )  # fmt: skip
        self._writer.append_unwaited(row)

    async def append_outcome(
        self, stage: str, item: str, *, result: str, note: str, rounds: int, calls: Iterable[int]
    ) -> None:
        """Write how an item ended, after all of its calls; returns once it is on disk."""
        self._unfinished.pop((stage, item), None)
        first_unfinished = next(iter(self._unfinished.values()), None)
        low_water = first_unfinished[0] if first_unfinished else self._next_call
        row = OutcomeRecord(
            self._next_outcome, stage, item, result, note, rounds, tuple(calls), self._next_call, low_water,
            self._clock.wall(), self.session,
        )  # fmt: skip
        self._next_outcome += 1
        await self._writer.append(row)

    async def put_contents(self, kind: str, texts: Mapping[str, bytes]) -> None:
        """Keep texts by name."""
        futures = [
            self._writer.append(
                Statement(
                    "INSERT OR REPLACE INTO contents VALUES (?,?,?,?)",
                    (kind, name, body, checksum((kind, name, body))),
                )
            )
            for name, body in texts.items()
        ]
        await _all(futures)

    async def put_identity(self, stage: str, fields: Mapping[str, str]) -> None:
        """Store identity fields."""
        sql = "INSERT OR REPLACE INTO identity VALUES (?,?,?)"
        await _all([self._writer.append(Statement(sql, (stage, *field))) for field in fields.items()])

    async def put_meta(self, key: str, value: str) -> None:
        """Set one named value of the run."""
        await self._writer.append(Statement("INSERT OR REPLACE INTO meta VALUES (?,?)", (key, value)))

    async def write(self, statements: Iterable[Statement]) -> None:
        """Write rows of other kinds, in order; returns once they are on disk."""
        await _all([self._writer.append(statement) for statement in statements])

    async def begin_session(self, *, concurrency: int, settings: str) -> int:
        """Record that this process starts to work; its number marks all of its rows."""
        sessions = self.reader.sessions()
        self.session = sessions[-1].session + 1 if sessions else 1
        await self._writer.append(
            Statement(
                "INSERT INTO sessions VALUES (?,?,NULL,NULL,?,?)",
                (self.session, self._clock.wall(), concurrency, settings),
            )
        )
        return self.session

    async def note_concurrency(self, concurrency: int) -> None:
        """Record that this session may have so many calls in the air; the most ever is what is kept."""
        await self._writer.append(
            Statement(
                "UPDATE sessions SET concurrency=max(concurrency,?) WHERE session=?",
                (concurrency, self.session),
            )
        )

    async def end_session(self, ended_as: str) -> None:
        """Record an orderly end; a session without one was killed, and its calls may be paid for."""
        await self._writer.append(
            Statement(
                "UPDATE sessions SET ended_at=?, ended_as=? WHERE session=?",
                (self._clock.wall(), ended_as, self.session),
            )
        )

    # --- opening -----------------------------------------------------------------------------------

    def _take_seq(self, key: CallKey) -> int:
        seq = self._next_call
        self._next_call = seq + 1
        self._unfinished.setdefault((key.stage, key.item), []).append(seq)
        return seq

    def _scan_tail(self) -> None:
        last_call, last_outcome, _ = self.reader.last()
        self._next_call, self._next_outcome = last_call + 1, last_outcome + 1
        self._unfinished = self.reader.unfinished()


def _on_loop(
    loop: asyncio.AbstractEventLoop, speak: Callable[[EngineError], None], error: EngineError
) -> None:
    with suppress(RuntimeError):  # the loop may be gone after a second interrupt
        loop.call_soon_threadsafe(speak, error)


def open_for_writing(path: Path) -> apsw.Connection:
    """The journal at `path`, made where it is missing, set up so that what is committed is on disk."""
    connection = None
    try:
        # Created with the folder's owner alone in mind: prompts and profiles are in it.
        if not path.is_file() or path.stat().st_size == 0:
            refuse_emptied(path)  # before SQLite takes the log for a stale one and removes it
        old_mask = os.umask(0o077)
        try:
            connection = apsw.Connection(str(path))
        finally:
            os.umask(old_mask)
        connection.set_busy_timeout(10_000)
        is_new = not has_tables(connection)
        if is_new:
            refuse_emptied(path)
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA fullfsync=1")
        if is_new:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(TABLES)
            connection.execute("INSERT INTO meta VALUES ('schema', ?)", (str(SCHEMA_VERSION),))
            connection.execute("COMMIT")
    except apsw.Error as error:
        if connection is not None:
            connection.close()
        if isinstance(error, apsw.NotADBError | apsw.CorruptError):
            raise damaged(path, error) from error
        raise describe_write_error(error) from error
    return connection


async def _all(futures: Iterable[asyncio.Future[None]]) -> None:
    # Not one after the other: where several fail, the others' errors would be reported as never looked at.
    await asyncio.gather(*futures)
