"""A journal edited anywhere is read, or refused in the defined words: no command ever ends in a traceback."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.doubles.command_line import engine

from engine.clock import SystemClock
from engine.errors import EngineError
from engine.journal.journal import JOURNAL_NAME, Journal

Capture = pytest.CaptureFixture[str]
# Where an edit goes, as a share of the file; what is done there; with which bytes.
EDITS = st.lists(
    st.tuples(
        st.floats(0, 1, allow_nan=False) | st.sampled_from([0.0, 0.0001, 0.001]),
        st.sampled_from(["set", "set", "set", "insert", "delete", "cut"]),
        st.binary(min_size=1, max_size=64) | st.sampled_from([b"\0", b"\xff", bytes(4_096)]),
    ),
    min_size=1,
    max_size=6,
)
ANYTHING = st.binary(max_size=300) | st.binary(max_size=300).map(lambda rest: b"SQLite format 3\0" + rest)
COMMANDS = (
    ("verify", "r"), ("status", "r"), ("export", "r", "--include", "dropped"), ("runs",),
    ("show", "r", "gifts-4-p001-0"), ("stats", "r"), ("runs", "rescue", "r", "saved"), ("verify", "saved"),
)  # fmt: skip


@pytest.fixture(scope="module")
def whole() -> Iterator[Path]:
    """A folder with a finished run of a few conversations, in memory where there is one."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        assert engine("run", "--run", "r", "--limit", "4", "--runs-dir", name) == 0
        apsw.Connection(f"{name}/r/{JOURNAL_NAME}").execute("PRAGMA wal_checkpoint(TRUNCATE)")
        yield Path(name)


def edited(content: bytes, edits: list[tuple[float, str, bytes]]) -> bytes:
    found = bytearray(content)
    for share, how, piece in edits:
        at = int(share * len(found))
        match how:
            case "set":
                found[at : at + len(piece)] = piece
            case "insert":
                found[at:at] = piece
            case "delete":
                del found[at : at + len(piece)]
            case _:
                del found[at:]
    return bytes(found)


def read_in_every_way(whole: Path, content: bytes, capsys: Capture) -> None:
    with TemporaryDirectory(dir=whole) as name:
        folder = Path(name) / "r"
        folder.mkdir()
        shutil.copy(whole / "r" / "run.yaml", folder)
        (folder / JOURNAL_NAME).write_bytes(content)
        for command in COMMANDS:
            code = engine(*command, "--runs-dir", name)
            said = capsys.readouterr().err
            assert "Traceback" not in said, (command, said)
            assert code in (0, 3, 65, 70, 78), (command, code, said)
            assert (folder / JOURNAL_NAME).read_bytes() == content, "a command that reads has written"

        async def work() -> None:
            async with Journal(folder, SystemClock()) as journal:
                await journal.put_meta("key", "value")

        with suppress(EngineError):
            asyncio.run(work())


FEW = settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
MANY = settings(FEW, max_examples=400, derandomize=False)


@FEW
@given(EDITS)
def test_an_edited_journal_gives_the_defined_errors_only(
    whole: Path, capsys: Capture, edits: list[tuple[float, str, bytes]]
) -> None:
    read_in_every_way(whole, edited((whole / "r" / JOURNAL_NAME).read_bytes(), edits), capsys)


@FEW
@given(ANYTHING)
def test_any_file_gives_the_defined_errors_only(whole: Path, capsys: Capture, content: bytes) -> None:
    read_in_every_way(whole, content, capsys)


@pytest.mark.slow
@MANY
@given(EDITS)
def test_many_edited_journals_give_the_defined_errors_only(
    whole: Path, capsys: Capture, edits: list[tuple[float, str, bytes]]
) -> None:
    read_in_every_way(whole, edited((whole / "r" / JOURNAL_NAME).read_bytes(), edits), capsys)
