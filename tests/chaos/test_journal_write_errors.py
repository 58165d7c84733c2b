"""The disk is full, or fails, at each of the journal's writes and syncs in turn.

Whatever SQLite was doing at that moment: the writer ends with the right error, what it had acknowledged is
there when the journal is opened again, and it goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import pytest
from tests.doubles.command_line import engine
from tests.doubles.recording_vfs import Event, disk_below_sqlite

from engine.clock import SystemClock
from engine.errors import CannotWrite, DiskFull, EngineError
from engine.journal.journal import JOURNAL_NAME, Journal
from engine.journal.reader import Reader
from engine.schema.call import CallKey, Usage

STAGE = "conversation"
GROUPS = 4
ERRORS = {"full": (apsw.FullError, DiskFull), "failing": (apsw.IOError, CannotWrite)}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as name:
        yield Path(name)


class Failing:
    """Raises at the `n`-th event, and at all later ones where it `stays` so."""

    def __init__(self, n: int, error: type[Exception], *, stays: bool) -> None:
        self.left, self.error, self.stays, self.raised = n, error, stays, 0

    def __call__(self, event: Event) -> None:
        if event.kind == "delete":  # a full disk removes as well as any other
            return
        self.left -= 1
        if self.left == 0 or (self.stays and self.left < 0):
            self.raised += 1
            raise self.error(f"{event.kind} of {event.file}")


async def write_all(folder: Path, acknowledged: dict[int, bytes]) -> None:
    """Open the journal and write replies to it, a few at a time; the log is carried over now and then."""
    async with Journal(folder, SystemClock()) as journal:
        journal._connection.execute("PRAGMA wal_autocheckpoint=5")
        for group in range(GROUPS):
            bodies = [bytes([group, n]) * 9_000 for n in range(3)]
            async with asyncio.TaskGroup() as tasks:
                for n, body in enumerate(bodies):
                    tasks.create_task(reply(journal, f"i{group}.{n}", body, acknowledged))
            await journal.append_outcome(STAGE, f"i{group}.0", result="goodbye", note="", rounds=1, calls=())


async def reply(journal: Journal, item: str, body: bytes, acknowledged: dict[int, bytes]) -> None:
    seq = await journal.append_reply(
        CallKey(STAGE, item, "user-1"), request_digest=b"d" * 24, reply=body, endpoint="e", tries=1,
        sent_at=1.0, latency_s=0.5, usage=Usage(1, 2),
    )  # fmt: skip
    acknowledged[seq] = body


def engine_errors(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [inner for each in error.exceptions for inner in engine_errors(each)]
    return [error]


def events_of(folder: Path) -> int:
    with disk_below_sqlite() as disk:
        asyncio.run(write_all(folder, {}))
    return sum(event.kind != "delete" for event in disk.events)


def meet_errors(folder: Path, name: str, places: slice, *, stays: bool) -> None:
    raises, expected = ERRORS[name]
    met = 0
    every = range(1, events_of(folder / "whole") + 1)[places]
    for n in every:
        failing, acknowledged = Failing(n, raises, stays=stays), dict[int, bytes]()
        place = folder / str(n)
        with disk_below_sqlite(failing):
            try:
                asyncio.run(write_all(place, acknowledged))
            except (EngineError, BaseExceptionGroup) as error:
                found = engine_errors(error)
                assert {type(each) for each in found} == {expected}, (n, found)
                met += 1
        asyncio.run(write_all(place, {}))  # the next session, on a sound disk
        with closing(Reader(place / JOURNAL_NAME)) as reader:
            rows = {call.seq: call.reply for call in reader.calls_from(0)}
            assert list(reader.damaged_rows()) == []
        assert acknowledged.items() <= rows.items(), n
        assert len(rows) >= len(acknowledged) + 3 * GROUPS
    print(f"{len(every)} places, {met} of which ended the session")
    assert met > len(every) // 2


HOW = pytest.mark.parametrize("stays", [True, False], ids=["from-then-on", "once"])


@pytest.mark.parametrize("name", ERRORS)
@HOW
def test_an_error_at_a_write_loses_nothing_that_was_acknowledged(
    folder: Path, name: str, stays: bool
) -> None:
    meet_errors(folder, name, slice(2 * stays, None, 12), stays=stays)


@pytest.mark.slow
@pytest.mark.parametrize("name", ERRORS)
@HOW
def test_an_error_at_any_write_loses_nothing_that_was_acknowledged(
    folder: Path, name: str, stays: bool
) -> None:
    meet_errors(folder, name, slice(None), stays=stays)


# --- the whole command ------------------------------------------------------------------------------

CODES = {"full": 74, "failing": 73}


@pytest.mark.parametrize(
    ("name", "n"),
    [
        *[("full", n) for n in (1, 9, 20, 33, 60, 90)],
        *[("failing", n) for n in (6, 45)],
        *[pytest.param(name, n, marks=pytest.mark.slow) for n in range(2, 130, 5) for name in CODES],
    ],
)
def test_a_run_ends_with_the_right_code_and_goes_on(
    folder: Path, whole: bytes, name: str, n: int, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = Failing(n, ERRORS[name][0], stays=True)
    with disk_below_sqlite(failing):
        code = engine(*COMMAND, "--runs-dir", folder)
    said = capsys.readouterr().err
    assert failing.raised
    assert code == CODES[name], said
    assert "Traceback" not in said
    assert "acknowledged before is safe" in said
    assert engine(*COMMAND, "--runs-dir", folder) == 0, capsys.readouterr().err
    assert engine("verify", "r", "--runs-dir", folder) == 0
    assert (folder / "r" / "conversations.jsonl").read_bytes() == whole


COMMAND = ("run", "--run", "r", "--limit", "3", "--concurrency", "2", "--no-disk-check")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    runs = tmp_path_factory.mktemp("runs")
    with disk_below_sqlite() as disk:
        assert engine(*COMMAND, "--runs-dir", runs) == 0
    # Where the cases below break it off lies within a run.
    assert len(disk.events) > 130
    return (runs / "r" / "conversations.jsonl").read_bytes()
