"""The power goes at any moment of a journal's life: what was acknowledged is there, and nothing is wrong.

What the journal writes and syncs is recorded below SQLite. From each record many states of the disk are
built, with unsynced writes dropped, reordered and torn, and the real journal opens them. The same states of
a journal that does not sync each commit must lose rows, or the test would see nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import apsw
import pytest
from tests.doubles.recording_vfs import Event, disk_below_sqlite, files_after_power_cut

from engine.clock import SystemClock
from engine.journal.journal import JOURNAL_NAME, Journal
from engine.journal.reader import Reader
from engine.schema.call import CallKey, Usage

SEED = int(os.environ.get("POWER_SEED", "20261125"))
STAGE = "conversation"
GROUPS = 30
# Small, so that the log is carried over into the database many times within a short record.
PAGES_PER_CHECKPOINT = 12


@dataclass
class Life:
    """A journal's events, and after how many of them which rows were acknowledged."""

    events: list[Event] = field(default_factory=list)
    queued: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    acknowledged: list[tuple[int, set[int]]] = field(default_factory=list)

    def acknowledged_by(self, events: int) -> set[int]:
        """The call rows that were acknowledged when so many events had happened."""
        return next((seqs for at, seqs in reversed(self.acknowledged) if at <= events), set())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as name:
        yield Path(name)


async def live(folder: Path, random: Random, life: Life, synchronous: str) -> None:
    """Two processes' lives, the first of them killed with its log not carried over."""
    with disk_below_sqlite() as disk:
        life.events = disk.events
        acknowledged: set[int] = set()
        for is_killed in (True, False):
            async with Journal(folder, SystemClock()) as journal:
                connection = journal._connection
                connection.execute(f"PRAGMA wal_autocheckpoint={PAGES_PER_CHECKPOINT}")
                connection.execute(f"PRAGMA synchronous={synchronous}")
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(is_killed))
                for group in range(GROUPS):
                    await live_a_moment(journal, random, life, acknowledged, group)
                    life.acknowledged.append((len(disk.events), set(acknowledged)))


async def live_a_moment(
    journal: Journal, random: Random, life: Life, acknowledged: set[int], group: int
) -> None:
    """Some conversations' replies at once, then an outcome: one or a few commits."""

    async def reply(item: str, body: bytes) -> int:
        life.queued[journal._next_call] = (item, body)
        return await journal.append_reply(
            CallKey(STAGE, item, "user-1"), request_digest=b"d" * 24, reply=body, endpoint="e", tries=1,
            sent_at=1.0, latency_s=0.5, usage=Usage(1, 2),
        )  # fmt: skip

    bodies = [random.randbytes(random.choice((20, 900, 5_000, 40_000))) for _ in range(random.randint(1, 6))]
    names = [f"i{journal._next_call + n}" for n in range(len(bodies))]
    seqs = await asyncio.gather(*(reply(name, body) for name, body in zip(names, bodies, strict=True)))
    acknowledged.update(seqs)
    if group % 3 == 0:
        await journal.append_outcome(STAGE, names[0], result="goodbye", note="", rounds=1, calls=seqs[:1])


def put_files(place: Path, state: dict[str, bytes]) -> None:
    place.mkdir()
    for name, content in state.items():
        (place / name).write_bytes(content)


async def losses_at(life: Life, events: int, state: dict[str, bytes], place: Path) -> set[int]:
    """The acknowledged rows that the journal has not in this state of the disk; fails on any other flaw."""
    put_files(place, state)
    lost = set(life.acknowledged_by(events))
    async with Journal(place, SystemClock()) as journal:  # the next session: it recovers and goes on
        assert list(journal.reader.damaged_rows()) == []
        last = 0
        for call in journal.reader.calls_from(0):
            assert (call.item, call.reply) == life.queued[call.seq], "a row that nobody wrote"
            lost.discard(call.seq)
            last = call.seq
        for outcome in journal.reader.all_outcomes(STAGE):
            journal.reader.calls(outcome.calls)
        assert await journal.append_reply(
            CallKey(STAGE, "next", "user-1"), request_digest=b"", reply=b"{}", endpoint="e", tries=1,
            sent_at=2.0, latency_s=0.5, usage=Usage(),
        ) == last + 1  # fmt: skip
    with closing(Reader(place / JOURNAL_NAME)) as reader:
        assert reader.call(last + 1).item == "next"
    return lost


def power_cuts(folder: Path, states: int, synchronous: str, seed: int) -> int:
    """Build and open so many states; how many of them lost an acknowledged row."""
    random = Random(seed)
    life = Life()
    asyncio.run(live(folder / "alive", random, life, synchronous))
    assert len(life.events) > 200
    assert {event.file for event in life.events} >= {JOURNAL_NAME, f"{JOURNAL_NAME}-wal"}

    async def open_all() -> int:
        bad = 0
        for number in range(states):
            events = random.randint(0, len(life.events))
            state = files_after_power_cut(life.events[:events], random)
            try:
                bad += bool(await losses_at(life, events, state, folder / f"s{number}"))
            except BaseException as error:
                error.add_note(f"POWER_SEED={seed}, state {number}, after {events} events")
                raise
        return bad

    return asyncio.run(open_all())


def test_power_cuts_lose_nothing_that_was_acknowledged(folder: Path) -> None:
    assert power_cuts(folder, 300, "FULL", SEED) == 0


def test_without_a_sync_at_each_commit_rows_are_lost(folder: Path) -> None:
    states = 30
    lost = power_cuts(folder, states, "NORMAL", SEED)
    print(f"{lost} of {states} states lost rows")
    assert lost > 0


@pytest.mark.slow
@pytest.mark.parametrize("part", range(5))
def test_a_thousand_power_cuts_lose_nothing_that_was_acknowledged(folder: Path, part: int) -> None:
    states = 400
    assert power_cuts(folder, states, "FULL", SEED + 1 + part) == 0
    print(f"{states} states, none lost")
