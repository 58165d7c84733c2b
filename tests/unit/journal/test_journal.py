"""The journal on a real SQLite file: acknowledged rows are there, the tail is found, damage is named."""

from __future__ import annotations

import asyncio
import shutil
import stat
import tempfile
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import SystemClock
from engine.errors import BadInput, CannotWrite, JournalDamaged, NotBegun, RunLocked
from engine.journal.journal import JOURNAL_NAME, Journal
from engine.journal.reader import Reader, open_if_begun
from engine.schema.call import CallKey, CallKind, Usage

STAGE = "conversation"


async def reply(journal: Journal, item: str, step: str, text: bytes = b"{}") -> int:
    return await journal.append_reply(
        CallKey(STAGE, item, step),
        request_digest=b"d" * 24,
        reply=text,
        endpoint="default",
        tries=1,
        sent_at=1.5,
        latency_s=0.25,
        usage=Usage(3, 4, 1),
    )


async def end(journal: Journal, item: str, calls: list[int], result: str = "goodbye") -> None:
    await journal.append_outcome(STAGE, item, result=result, note="", rounds=1, calls=calls)


def opened(folder: Path) -> Journal:
    return Journal(folder, SystemClock())


@pytest.mark.asyncio
async def test_acknowledged_reply_is_read_by_another_connection_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        seq = await reply(journal, "a", "user-1", b'{"x": "\xc3\xa9"}')
        other = Reader(tmp_path / JOURNAL_NAME)
        call = other.call(seq)
        assert (call.item, call.step, call.reply) == ("a", "user-1", b'{"x": "\xc3\xa9"}')
        assert (call.prompt_tokens, call.completion_tokens, call.cached_tokens) == (3, 4, 1)
        assert call.kind == CallKind.REPLY
        other.close()


@pytest.mark.asyncio
async def test_many_replies_at_once_share_commits(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await asyncio.gather(*(reply(journal, f"item-{i}", "user-1") for i in range(500)))
        assert [call.item for call in journal.reader.calls_from(1)] == [f"item-{i}" for i in range(500)]
        commits = int(repr(journal._writer).split(" in ")[1].split()[0])
        assert commits < 250


@pytest.mark.asyncio
async def test_unfinished_items_are_found_after_a_restart_and_finished_ones_are_not(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        for i in range(20):
            seqs = [await reply(journal, f"done-{i}", step) for step in ("user-1", "assistant-1")]
            await end(journal, f"done-{i}", seqs)
        first = await reply(journal, "open", "user-1")
        await end(journal, "late", [await reply(journal, "late", "user-1")])
        second = await reply(journal, "open", "assistant-1")
    async with opened(tmp_path) as journal:
        assert journal.unfinished_items(STAGE) == ["open"]
        assert [call.seq for call in journal.history(STAGE, "open")] == [first, second]
        assert journal.history(STAGE, "done-3") == []
        assert await reply(journal, "new", "user-1") == second + 1


@pytest.mark.asyncio
async def test_low_water_mark_leaves_finished_rows_unread(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        for i in range(50):
            await end(journal, f"done-{i}", [await reply(journal, f"done-{i}", "user-1")])
        _, _, low_water = journal.reader.last()
        assert low_water == 51
        assert list(journal.reader.call_items_from(low_water)) == []


@pytest.mark.asyncio
async def test_failed_item_taken_up_again_keeps_its_paid_replies(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        seqs = [await reply(journal, "a", "user-1")]
        journal.note_failure(
            CallKey(STAGE, "a", "assistant-1"), CallKind.FAILED, request_digest=b"d" * 24, note=b"500",
            endpoint="default", tries=8, sent_at=2.0, latency_s=0.0,
        )  # fmt: skip
        await end(journal, "a", seqs, "failed")
    async with opened(tmp_path) as journal:
        assert journal.unfinished_items(STAGE) == []
        earlier = journal.reader.outcomes(STAGE, ["a"])["a"]
        assert [call.step for call in journal.history(STAGE, "a", retried=earlier)] == ["user-1"]
        seqs.append(await reply(journal, "a", "assistant-1"))
    async with opened(tmp_path) as journal:  # killed before its second outcome
        assert journal.unfinished_items(STAGE) == ["a"]
        again = journal.history(STAGE, "a", retried=earlier)
        assert [call.step for call in again] == ["user-1", "assistant-1"]
        await end(journal, "a", seqs)
        assert journal.reader.counts_by_result(STAGE) == {"goodbye": 1}


@pytest.mark.asyncio
async def test_retried_item_does_not_lift_the_low_water_mark_over_others(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        first = await reply(journal, "a", "user-1")
        others = [await reply(journal, "b", f"user-{i}") for i in range(3)]
        await end(journal, "a", [first], "failed")
        await reply(journal, "z", "user-1")
    async with opened(tmp_path) as journal:
        again = await reply(journal, "a", "user-1")  # taken up again, and killed
    async with opened(tmp_path) as journal:
        assert journal.unfinished_items(STAGE) == ["b", "z", "a"]
        await end(journal, "z", [5])
        _, _, low_water = journal.reader.last()
        assert low_water == others[0]
    async with opened(tmp_path) as journal:
        assert [call.seq for call in journal.history(STAGE, "b")] == others
        assert [call.seq for call in journal.history(STAGE, "a")] == [again]


@pytest.mark.asyncio
async def test_second_process_is_refused_before_the_database_is_touched(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(RunLocked, match="worked on by another process"):
            async with opened(tmp_path):
                pytest.fail("entered")
    async with opened(tmp_path):
        pass


@pytest.mark.asyncio
async def test_flipped_bit_is_found_and_named(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        seq = await reply(journal, "a", "user-1", b'{"content": "precious"}')
        await end(journal, "a", [seq])
    path = tmp_path / JOURNAL_NAME
    blob = path.read_bytes()
    assert blob.count(b"precious") == 1
    path.write_bytes(blob.replace(b"precious", b"preciouz"))
    reader = Reader(path)
    with pytest.raises(JournalDamaged, match=f"row {seq} of table calls"):
        reader.call(seq)
    assert list(reader.damaged_rows()) == [f"calls row {seq} ({STAGE} a): checksum does not hold"]
    reader.close()


@pytest.mark.asyncio
async def test_endings_are_those_of_the_latest_outcomes(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await end(journal, "b", [], "failed")
        for item in ("c", "a", "b"):
            await end(journal, item, [await reply(journal, item, "user-1")])
        await end(journal, "a", [], "failed")
        assert journal.reader.ended(STAGE) == 3
        endings = journal.reader.endings(STAGE, ["b", "x", "a", "c"])
        assert endings == {"a": ("failed", ""), "b": ("goodbye", ""), "c": ("goodbye", "")}
        outcomes = journal.reader.outcomes(STAGE, ["b", "x", "a", "c"])
        assert {item: (outcome.result, outcome.note) for item, outcome in outcomes.items()} == endings
        assert journal.reader.ended("other") == 0


@pytest.mark.asyncio
async def test_flipped_bit_in_what_an_ending_does_not_tell_is_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await end(journal, "a", [0x0123456789ABCDEF])
    path = tmp_path / JOURNAL_NAME
    calls = (0x0123456789ABCDEF).to_bytes(8, "little")
    blob = path.read_bytes()
    assert blob.count(calls) == 1
    path.write_bytes(blob.replace(calls, bytes([calls[0] ^ 1]) + calls[1:]))
    reader = Reader(path)
    with pytest.raises(JournalDamaged, match="row 1 of table outcomes"):
        reader.endings(STAGE, ["a"])
    reader.close()


@pytest.mark.asyncio
async def test_missing_call_of_an_outcome_is_damage(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        with pytest.raises(JournalDamaged, match="absent"):
            journal.reader.calls([7])


@pytest.mark.parametrize("content", [b"this is not a database" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_file_that_is_no_journal_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / JOURNAL_NAME
    path.write_bytes(content)

    async def enter() -> None:
        async with opened(tmp_path):
            pytest.fail("entered")

    with pytest.raises(JournalDamaged, match="never replaced"):
        asyncio.run(enter())
    assert path.read_bytes() == content
    with pytest.raises(JournalDamaged):
        Reader(path)


def enter(folder: Path) -> None:
    async def once() -> None:
        async with opened(folder):
            pass

    asyncio.run(once())


def test_journal_that_was_never_filled_begins(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL_NAME
    path.touch()
    with pytest.raises(NotBegun):
        Reader(path)
    assert open_if_begun(path) is None
    apsw.Connection(str(path)).execute("PRAGMA journal_mode=WAL")  # stopped before it had tables
    with pytest.raises(NotBegun):
        Reader(path)
    enter(tmp_path)
    Reader(path).close()


@pytest.mark.parametrize("how", ["emptied", "gone", "another"])
def test_journal_of_a_run_that_had_begun_is_never_begun_anew(tmp_path: Path, how: str) -> None:
    enter(tmp_path)
    (tmp_path / "run.yaml").touch()
    path = tmp_path / JOURNAL_NAME
    path.unlink()
    if how == "another":
        apsw.Connection(str(path)).execute("CREATE TABLE t (x)")
    elif how == "emptied":
        path.touch()
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(JournalDamaged, match="never replaced"):
        enter(tmp_path)
    assert (path.read_bytes() if path.exists() else None) == before
    if before is not None:
        with pytest.raises(JournalDamaged, match="had begun"):
            Reader(path)


def test_empty_journal_beside_a_log_is_damage(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL_NAME
    path.touch()
    log = tmp_path / f"{JOURNAL_NAME}-wal"
    log.write_bytes(b"rows")
    with pytest.raises(JournalDamaged):
        enter(tmp_path)
    assert log.read_bytes() == b"rows"


def test_absent_journal_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no journal"):
        Reader(tmp_path / JOURNAL_NAME)


@pytest.mark.asyncio
async def test_journal_of_a_newer_engine_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.put_meta("schema", "999")
    with pytest.raises(JournalDamaged, match="newer engine"):
        async with opened(tmp_path):
            pytest.fail("entered")


@pytest.mark.asyncio
async def test_dead_writer_fails_every_waiting_and_later_append(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await reply(journal, "a", "user-1")
        # The same sequence number again is what a bug would write; the commit fails as a whole.
        journal._next_call = 1
        with pytest.raises(CannotWrite, match="acknowledged before is safe"):
            await reply(journal, "b", "user-1")
        with pytest.raises(CannotWrite):
            await reply(journal, "c", "user-1")
    reader = Reader(tmp_path / JOURNAL_NAME)
    assert [call.item for call in reader.calls_from(0)] == ["a"]
    reader.close()


@pytest.mark.asyncio
async def test_folder_and_files_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    async with opened(folder) as journal:
        await reply(journal, "a", "user-1")
        for path in [folder, *folder.iterdir()]:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.asyncio
async def test_writes_are_durable_before_they_are_acknowledged(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        assert journal._connection.execute("PRAGMA synchronous").fetchall() == [(2,)]
        assert journal._connection.execute("PRAGMA journal_mode").fetchall() == [("wal",)]


@pytest.mark.asyncio
async def test_recent_sends_stop_at_the_window(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await reply(journal, "a", "user-1")
        assert journal.reader.recent_sends(1.0, slack_s=10) == [(1.5, "default", 7, "conversation", "user-1")]
        assert journal.reader.recent_sends(2.0, slack_s=10) == []


@pytest.mark.asyncio
async def test_sends_before_the_clock_was_set_back_count_as_just_sent_and_no_more_of_them(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as journal:
        for sent_at in (86_000.0, 86_390.0, 86_400.0, 5.0):  # set back by a day before the last one
            await journal.append_reply(
                CallKey(STAGE, "a", f"at-{sent_at:.0f}"), request_digest=b"", reply=b"", endpoint="e",
                tries=1, sent_at=sent_at, latency_s=1.0, usage=Usage(),
            )  # fmt: skip
        sends = journal.reader.recent_sends(10.0 - 60.0, slack_s=20.0, now=10.0)
        assert [(at, step) for at, *_, step in sends] == [
            (5.0, "at-5"),
            (10.0, "at-86400"),
            (0.0, "at-86390"),
        ]


events = st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=25)


@settings(max_examples=25, deadline=None)
@given(events)
def test_any_prefix_of_a_journal_knows_what_is_unfinished(script: list[tuple[int, bool]]) -> None:
    """Replies and outcomes in any order, read again at any point: the tail is what a full scan would find."""

    async def play(folder: Path) -> None:
        open_calls: dict[str, list[int]] = {}
        async with opened(folder) as journal:
            for number, is_end in script:
                item = f"i{number}"
                if is_end:
                    await end(journal, item, open_calls.pop(item, []))
                else:
                    open_calls.setdefault(item, []).append(await reply(journal, item, "s"))
                assert journal.reader.unfinished() == {
                    (STAGE, item): seqs for item, seqs in open_calls.items()
                }

    folder = Path(tempfile.mkdtemp())
    try:
        asyncio.run(play(folder))
    finally:
        shutil.rmtree(folder)


def test_reader_does_not_open_the_file_for_writing(tmp_path: Path) -> None:
    async def make() -> None:
        async with opened(tmp_path) as journal:
            await reply(journal, "a", "user-1")

    asyncio.run(make())
    reader = Reader(tmp_path / JOURNAL_NAME)
    with pytest.raises(apsw.ReadOnlyError):
        reader._connection.execute("DELETE FROM calls")
    reader.close()
