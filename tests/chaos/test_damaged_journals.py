"""A journal that was damaged: each flipped bit is found, and what is whole can be saved."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import apsw
import orjson
import pytest
from tests.doubles.command_line import engine

from engine.clock import SystemClock
from engine.errors import EngineError
from engine.journal.journal import JOURNAL_NAME, Journal
from engine.journal.reader import Reader
from engine.journal.rows import PAGE_BYTES
from engine.journal.salvage import Salvage
from engine.schema.call import CallKey, Usage

SEED = int(os.environ.get("FLIP_SEED", "20261125"))
CONTENT = {"calls", "outcomes", "contents"}
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the finished run `whole`, in memory where there is one."""
    memory = Path("/dev/shm")
    place = memory if memory.is_dir() else tmp_path_factory.mktemp("runs")
    with TemporaryDirectory(dir=place) as name:
        assert engine("run", "--run", "whole", "--limit", "44", "--runs-dir", name) == 0
        apsw.Connection(f"{name}/whole/{JOURNAL_NAME}").execute("PRAGMA wal_checkpoint(TRUNCATE)")
        yield Path(name)


def rows_of(journal: Path) -> dict[str, list[tuple[object, ...]]]:
    connection = apsw.Connection(f"{journal.absolute().as_uri()}?mode=ro", flags=READ)
    try:
        return {table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in CONTENT}
    finally:
        connection.close()


READ = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


def problems_of(journal: Path) -> list[str]:
    """What `engine verify` says of the rows, or why it cannot read them."""
    try:
        with closing(Reader(journal)) as reader:
            return list(reader.damaged_rows())
    except EngineError as error:
        return [str(error)]


def with_bit_flipped(content: bytes, bit: int) -> bytes:
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def flip_bits(runs: Path, flips: int, seed: int) -> tuple[int, int]:
    """(flips that were found, flips that changed no row): nothing lies between the two."""
    random = Random(seed)
    journal = runs / "whole" / JOURNAL_NAME
    content, sound = journal.read_bytes(), rows_of(journal)
    place = runs / f"flipped-{seed}" / JOURNAL_NAME
    place.parent.mkdir()
    found = harmless = 0
    for _ in range(flips):
        bit = random.randrange(8 * len(content))
        for left in place.parent.iterdir():
            left.unlink()
        place.write_bytes(with_bit_flipped(content, bit))
        if problems_of(place):
            found += 1
        else:
            assert rows_of(place) == sound, f"FLIP_SEED={seed}: bit {bit} changed a row and was not found"
            harmless += 1
    shutil.rmtree(place.parent)
    return found, harmless


def test_flipped_bits_are_found(runs: Path) -> None:
    found, harmless = flip_bits(runs, 60, SEED)
    assert found > harmless


@pytest.mark.slow
def test_many_flipped_bits_are_found(runs: Path) -> None:
    found, harmless = flip_bits(runs, 3_000, SEED + 1)
    print(f"{found} flips found, {harmless} changed no row")
    assert found > harmless


def test_a_flipped_bit_within_a_reply_is_named_by_verify(runs: Path, capsys: Capture) -> None:
    content = (runs / "whole" / JOURNAL_NAME).read_bytes()
    name = runs / "named"
    name.mkdir()
    for seq in (1, 100, 250):
        with closing(Reader(runs / "whole" / JOURNAL_NAME)) as reader:
            call = reader.call(seq)
        text = call.reply[40:400]
        assert text in content
        for left in name.iterdir():
            left.unlink()
        # Everywhere: an old copy of a row may lie in the unused part of a page.
        (name / JOURNAL_NAME).write_bytes(content.replace(text, with_bit_flipped(text, 8 * 17 + seq % 8)))
        capsys.readouterr()
        assert engine("verify", "named", "--runs-dir", runs) == 70
        assert (
            f"calls row {seq} (conversation {call.item}): checksum does not hold" in capsys.readouterr().out
        )


# --- rescue -----------------------------------------------------------------------------------------


def truncated(content: bytearray) -> None:
    del content[2 * len(content) // 3 :]


def headless(content: bytearray) -> None:
    content[:PAGE_BYTES] = bytes(PAGE_BYTES)


def no_database(content: bytearray) -> None:
    content[:20_000] = b"not a database anymore".ljust(20_000, b"!")


def holes(content: bytearray) -> None:
    for page in range(3, len(content) // PAGE_BYTES, 7):
        content[page * PAGE_BYTES : page * PAGE_BYTES + 9_000] = b"\xa5" * 9_000


def single_bits(content: bytearray) -> None:
    random = Random(SEED)
    for _ in range(40):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)


DAMAGES = (truncated, headless, no_database, holes, single_bits)


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_whole_is_rescued_and_the_rest_asked_again(
    runs: Path, damage: Callable[[bytearray], None], capsys: Capture
) -> None:
    broken, saved = runs / damage.__name__, f"{damage.__name__}-saved"
    shutil.copytree(runs / "whole", broken)
    content = bytearray((broken / JOURNAL_NAME).read_bytes())
    damage(content)
    for left in broken.glob(f"{JOURNAL_NAME}*"):
        left.unlink()
    (broken / JOURNAL_NAME).write_bytes(content)
    assert engine("verify", broken.name, "--runs-dir", runs) == 70
    if damage in (truncated, headless, no_database):
        assert engine("resume", broken.name, "--runs-dir", runs) == 70
        assert "engine runs rescue RUN NEW" in capsys.readouterr().err
        assert (broken / JOURNAL_NAME).read_bytes() == content, "a damaged journal is only read"
    capsys.readouterr()
    assert engine("runs", "rescue", broken.name, saved, "--runs-dir", runs, "--json") == 0
    facts = orjson.loads(capsys.readouterr().out)
    with closing(Reader(runs / "whole" / JOURNAL_NAME)) as reader:
        total = reader.totals().replies
    assert 0.2 * total < facts["calls"] <= total
    assert engine("resume", saved, "--runs-dir", runs) == 0
    assert engine("verify", saved, "--runs-dir", runs) == 0
    names = ("whole", saved)
    whole, again = ((runs / name / "conversations.jsonl").read_bytes() for name in names)
    assert again == whole
    print(f"{damage.__name__}: {facts['calls']} of {total} replies saved")


def test_rows_that_only_the_log_has_are_rescued(tmp_path: Path, capsys: Capture) -> None:
    """As a killed process leaves it, and then the database is gone."""
    assert engine("run", "--run", "r", "--limit", "12", "--runs-dir", tmp_path) == 0
    journal = tmp_path / "r" / JOURNAL_NAME
    connection = apsw.Connection(str(journal))
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.execute("PRAGMA wal_autocheckpoint=0")
    # Rewritten, every row of the calls is in the log; what the database has of them is cut off.
    connection.execute("BEGIN; CREATE TABLE c AS SELECT * FROM calls; DELETE FROM calls")
    connection.execute("INSERT INTO calls SELECT * FROM c; DROP TABLE c; COMMIT")
    connection.close()
    journal.write_bytes(journal.read_bytes()[:100])
    assert engine("runs", "rescue", "r", "s", "--runs-dir", tmp_path, "--json") == 0
    assert orjson.loads(capsys.readouterr().out.splitlines()[-1])["calls"] > 80
    assert engine("resume", "s", "--runs-dir", tmp_path) == 0
    whole, saved = ((tmp_path / name / "conversations.jsonl").read_bytes() for name in ("r", "s"))
    assert saved == whole


def test_any_lost_template_comes_from_its_file(tmp_path: Path, capsys: Capture) -> None:
    assert engine("run", "--run", "r", "--limit", "2", "--runs-dir", tmp_path) == 0
    journal = tmp_path / "r" / "journal.sqlite"
    connection = apsw.Connection(str(journal))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    names = connection.execute("SELECT kind, name FROM contents WHERE kind <> 'profile'").fetchall()
    connection.close()
    assert len(names) >= 12
    whole = journal.read_bytes()
    for number, key in enumerate(names):
        connection = apsw.Connection(str(journal))
        connection.execute("DELETE FROM contents WHERE kind = ? AND name = ?", key)
        connection.close()
        saved = f"saved-{number}"
        assert engine("runs", "rescue", "r", saved, "--runs-dir", tmp_path) == 0, key
        assert engine("verify", saved, "--runs-dir", tmp_path) == 0, key
        assert engine("verify", "r", "--runs-dir", tmp_path) in (0, 65, 70), key
        assert "Traceback" not in capsys.readouterr().err, key
        journal.write_bytes(whole)


def test_nothing_to_rescue_leaves_nothing_behind(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / JOURNAL_NAME).write_bytes(b"no database" * 5_000)
    assert engine("runs", "rescue", "r", "s", "--runs-dir", tmp_path) == 65
    assert "no reply whose checksum holds" in capsys.readouterr().err
    assert engine("runs", "rescue", "nowhere", "s", "--runs-dir", tmp_path) == 65
    assert engine("runs", "rescue", "r", "r", "--runs-dir", tmp_path) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_rows_behind_a_damaged_frame_of_the_log_are_found(tmp_path: Path) -> None:
    """SQLite ends its log there and says nothing; the rows are still in the file."""

    async def write() -> None:
        async with Journal(tmp_path, SystemClock()) as journal:
            journal._connection.execute("PRAGMA wal_autocheckpoint=0")
            journal._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            for number in range(20):
                await journal.append_reply(
                    CallKey("s", f"i{number}", "user-1"), request_digest=b"d", reply=bytes([number]) * 9_000,
                    endpoint="e", tries=1, sent_at=1.0, latency_s=1.0, usage=Usage(),
                )  # fmt: skip

    asyncio.run(write())
    log = tmp_path / f"{JOURNAL_NAME}-wal"
    content = log.read_bytes()
    log.write_bytes(with_bit_flipped(content, 8 * (content.index(b"\x05" * 9_000) + 100)))
    with closing(Reader(tmp_path / JOURNAL_NAME)) as reader:
        assert len(list(reader.calls_from(0))) == 5
    with Salvage(tmp_path / JOURNAL_NAME) as salvage:
        found = {row.columns[0] for row in salvage.rows() if row.table == "calls"}
    assert found >= set(range(1, 21)) - {6}
