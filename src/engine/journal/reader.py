"""Reads a journal, also while another process writes it: read-only, streaming, checked row by row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw

from engine.errors import BadInput, CannotWrite, DiskFull, JournalDamaged, NotBegun
from engine.journal.facts import CallFacts, OutcomeFacts, Session, Totals
from engine.journal.presence import damaged, empty, has_tables
from engine.journal.rows import (
    CALL_COLUMNS,
    OUTCOME_COLUMNS,
    SCHEMA_VERSION,
    Columns,
    check_outcomes,
    is_sound,
    outcome_of,
    read_call,
    read_outcome,
)
from engine.schema.call import CallRecord, OutcomeRecord

_LOOKUP = 500


class Reader:
    """A read-only connection. Never opens the file by other means: that would drop SQLite's locks."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise BadInput(f"{path}: no journal here. `engine runs` lists the runs that exist.")
        if path.stat().st_size == 0:
            raise empty(path)
        self.path = path
        try:
            self._connection = apsw.Connection(f"{path.absolute().as_uri()}?mode=ro", flags=_READ_FLAGS)
            self._connection.set_busy_timeout(10_000)
            if not has_tables(self._connection):
                self._connection.close()
                raise empty(path)
            version = self._connection.execute("SELECT value FROM meta WHERE key='schema'").fetchall()
        except (apsw.Error, UnicodeDecodeError) as error:
            raise damaged(path, error) from error
        written_by = str(version[0][0]) if version else "?"
        if not written_by.isdigit() or int(written_by) > SCHEMA_VERSION:
            raise JournalDamaged(
                f"{path}: written by a newer engine (schema {written_by}, this one knows {SCHEMA_VERSION}). "
                "Install that version to read it."
            )

    def close(self) -> None:
        self._connection.close()

    def __repr__(self) -> str:
        return f"Reader({self.path.parent.name})"

    def meta(self, key: str) -> str | None:
        """One named value of the run, e.g. its plan."""
        rows = self._rows("SELECT value FROM meta WHERE key=?", (key,))
        return next((str(row[0]) for row in rows), None)

    def identity(self, stage: str) -> dict[str, str]:
        """What decides a stage's content, field by field, as it was at the start."""
        rows = self._rows("SELECT field, value FROM identity WHERE stage=? ORDER BY field", (stage,))
        return {str(field): str(value) for field, value in rows}

    def content(self, kind: str, name: str) -> bytes | None:
        """A text kept once by name, such as a profile."""
        rows = self._rows("SELECT name, body, checksum FROM contents WHERE kind=? AND name=?", (kind, name))
        for found, body, crc in rows:
            return _checked_content(kind, str(found), body, crc)
        return None

    def contents(self, kind: str) -> Iterator[tuple[str, bytes]]:
        """All texts of one kind, by name."""
        rows = self._rows("SELECT name, body, checksum FROM contents WHERE kind=? ORDER BY name", (kind,))
        for name, body, crc in rows:
            yield str(name), _checked_content(kind, str(name), body, crc)

    def sessions(self) -> list[Session]:
        """All processes that worked on the run, in order."""
        return [
            Session(*row)  # type: ignore[arg-type]
            for row in self._rows(
                "SELECT session, started_at, ended_at, ended_as, concurrency, settings FROM sessions"
                " ORDER BY session"
            )
        ]

    def call(self, seq: int) -> CallRecord:
        """One call row by its sequence number."""
        return next(iter(self.calls((seq,))))

    def calls(self, seqs: Sequence[int]) -> list[CallRecord]:
        """The call rows of these sequence numbers, in that order."""
        found: dict[int, CallRecord] = {}
        for start in range(0, len(seqs), _LOOKUP):
            chunk = tuple(seqs[start : start + _LOOKUP])
            marks = ",".join("?" * len(chunk))
            for row in self._rows(f"SELECT {CALL_COLUMNS} FROM calls WHERE seq IN ({marks})", chunk):  # noqa: S608
                call = read_call(row)
                found[call.seq] = call
        missing = [seq for seq in seqs if seq not in found]
        if missing:
            raise JournalDamaged(f"{self.path}: call rows {missing[:5]} are listed in an outcome but absent.")
        return [found[seq] for seq in seqs]

    def calls_from(self, seq: int) -> Iterator[CallRecord]:
        """All call rows from `seq` on, streaming."""
        for row in self._rows(f"SELECT {CALL_COLUMNS} FROM calls WHERE seq>=? ORDER BY seq", (seq,)):  # noqa: S608
            yield read_call(row)

    def call_items_from(self, seq: int) -> Iterator[tuple[int, str, str]]:
        """(seq, stage, item) of all call rows from `seq` on, without their replies."""
        for row in self._rows("SELECT seq, stage, item FROM calls WHERE seq>=? ORDER BY seq", (seq,)):
            yield int(row[0]), str(row[1]), str(row[2])  # type: ignore[call-overload]

    def outcomes(self, stage: str, items: Iterable[str]) -> dict[str, OutcomeRecord]:
        """The latest outcome of each of `items` that has one."""
        records = (outcome_of(row) for rows in self._outcome_rows(stage, items) for row in rows)
        return {record.item: record for record in records}

    def endings(self, stage: str, items: Iterable[str]) -> dict[str, tuple[str, str]]:
        """(result, note) of the latest outcome of each of `items` that has one; whole rows are checked."""
        batches = self._outcome_rows(stage, items)
        return {row[2]: (row[3], row[4]) for rows in batches for row in rows}  # type: ignore[misc]

    def _outcome_rows(self, stage: str, items: Iterable[str]) -> Iterator[list[Columns]]:
        """The outcomes of `items`, checked, in batches; of each item the latest comes last."""
        wanted = list(items)
        for start in range(0, len(wanted), _LOOKUP):
            chunk = wanted[start : start + _LOOKUP]
            marks = ",".join("?" * len(chunk))
            # In the index's own order, so that nothing has to be sorted.
            where = f"WHERE stage=? AND item IN ({marks}) ORDER BY item, seq"
            rows = list(self._rows(f"SELECT {OUTCOME_COLUMNS} FROM outcomes {where}", (stage, *chunk)))  # noqa: S608
            check_outcomes(rows)
            yield rows

    def all_outcomes(self, stage: str) -> Iterator[OutcomeRecord]:
        """Every outcome row of a stage in order of ending, streaming; a retried item appears again."""
        for row in self._rows(f"SELECT {OUTCOME_COLUMNS} FROM outcomes WHERE stage=? ORDER BY seq", (stage,)):  # noqa: S608
            yield read_outcome(row)

    def counts_by_result(self, stage: str) -> dict[str, int]:
        """How many items ended in which way, the latest outcome of each counted."""
        rows = self._rows(
            "SELECT result, count(*) FROM outcomes WHERE seq IN"
            " (SELECT max(seq) FROM outcomes WHERE stage=? GROUP BY item) GROUP BY result ORDER BY result",
            (stage,),
        )
        return {str(result): int(count) for result, count in rows}  # type: ignore[call-overload]

    def ended(self, stage: str) -> int:
        """How many items have ended; the index alone tells, at a tenth of the cost of counting results."""
        rows = self._rows("SELECT count(DISTINCT item) FROM outcomes WHERE stage=?", (stage,))
        return sum(int(row[0]) for row in rows)  # type: ignore[call-overload]

    def totals(self, stage: str | None = None) -> Totals:
        """Sums over call rows, of one stage or of all."""
        where, bindings = ("WHERE stage=?", (stage,)) if stage else ("", ())
        rows = self._rows(
            "SELECT coalesce(sum(kind='reply'),0), coalesce(sum(kind='failed'),0),"  # noqa: S608
            " coalesce(sum(kind='possibly_paid'),0), coalesce(sum(CASE WHEN kind='reply' THEN tries END),0),"
            " coalesce(sum(CASE WHEN kind='reply' THEN prompt_tokens END),0),"
            " coalesce(sum(CASE WHEN kind='reply' THEN completion_tokens END),0),"
            f" coalesce(sum(cached_tokens),0) FROM calls {where}",
            bindings,
        )
        return Totals(*next(iter(rows)))  # type: ignore[arg-type]

    def recent_sends(
        self, since: float, *, slack_s: float, now: float = math.inf
    ) -> list[tuple[float, str, int, str, str]]:
        """(time, endpoint, tokens, stage, step) of the calls sent after Unix time `since`, newest first.

        Reads backwards from the newest row and stops at the first old one, so that its cost is that of
        the window and not of the journal. A row from later than `now` says that the clock was set back
        after it: it and what lies before it are dated as if it had just been sent.
        """
        sends: list[tuple[float, str, int, str, str]] = []
        set_back_s = 0.0
        for sent_at, endpoint, tokens, stage, step in self._rows(
            "SELECT sent_at, endpoint, prompt_tokens+completion_tokens, stage, step FROM calls"
            " ORDER BY seq DESC"
        ):
            at = float(sent_at) - set_back_s  # type: ignore[arg-type]
            if at > now + slack_s:
                set_back_s += at - now
                at = now
            # A slow call is journalled after later ones, by at most its deadline.
            if at < since - slack_s:
                break
            if at >= since:
                sends.append((at, str(endpoint), int(tokens), str(stage), str(step)))  # type: ignore[call-overload]
        return sends

    def stages(self) -> list[str]:
        """The stages that have outcomes."""
        return [str(row[0]) for row in self._rows("SELECT DISTINCT stage FROM outcomes ORDER BY stage")]

    def content_kinds(self) -> list[str]:
        """The kinds of texts that are kept."""
        return [str(row[0]) for row in self._rows("SELECT DISTINCT kind FROM contents ORDER BY kind")]

    def copy_to(self, path: Path) -> None:
        """Write the journal as it is at this moment to the new file `path`, also while it is written."""
        try:
            self._connection.execute("VACUUM INTO ?", (str(path),))
        except apsw.FullError as error:
            raise DiskFull(f"{path}: the disk is full; no copy was made.") from error
        except (apsw.CantOpenError, apsw.SQLError) as error:
            raise CannotWrite(f"{path}: no copy could be written ({error}).") from error
        except apsw.Error as error:
            raise damaged(self.path, error) from error
        path.chmod(0o600)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Every read within the block sees the journal as it was at the first one."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def call_facts_from(self, stage: str, seq: int) -> Iterator[CallFacts]:
        """The call rows of a stage from `seq` on, streaming; not checked against their checksums."""
        sql = f"SELECT {_CALL_FACTS} FROM calls WHERE seq>=? AND stage=? ORDER BY seq"  # noqa: S608
        return (CallFacts(*row) for row in self._rows(sql, (seq, stage)))  # type: ignore[arg-type]

    def call_facts_before(self, stage: str, seq: int, rows: int) -> Iterator[CallFacts]:
        """Those among the `rows` numbers before `seq`, backwards."""
        sql = f"SELECT {_CALL_FACTS} FROM calls WHERE seq<? AND seq>=? AND stage=? ORDER BY seq DESC"  # noqa: S608
        return (CallFacts(*row) for row in self._rows(sql, (seq, seq - rows, stage)))  # type: ignore[arg-type]

    def outcome_facts_from(self, stage: str, seq: int) -> Iterator[OutcomeFacts]:
        """The outcome rows of a stage from `seq` on, streaming; unchecked."""
        sql = f"SELECT {_OUTCOME_FACTS} FROM outcomes WHERE seq>=? AND stage=? ORDER BY seq"  # noqa: S608
        return (OutcomeFacts(*row) for row in self._rows(sql, (seq, stage)))  # type: ignore[arg-type]

    def newest_outcome_facts(self, stage: str) -> Iterator[OutcomeFacts]:
        """The outcome rows of a stage, backwards from the newest, streaming; unchecked."""
        sql = f"SELECT {_OUTCOME_FACTS} FROM outcomes WHERE stage=? ORDER BY seq DESC"  # noqa: S608
        return (OutcomeFacts(*row) for row in self._rows(sql, (stage,)))  # type: ignore[arg-type]

    def result_before(self, stage: str, item: str, seq: int) -> str | None:
        """How an item ended before outcome row `seq`; None where it had not."""
        sql = "SELECT result FROM outcomes WHERE stage=? AND item=? AND seq<? ORDER BY seq DESC LIMIT 1"
        return next((str(row[0]) for row in self._rows(sql, (stage, item, seq))), None)

    def last(self) -> tuple[int, int, int]:
        """(last call seq, last outcome seq, low-water mark); zeros for an empty journal."""
        call = next(iter(self._rows("SELECT coalesce(max(seq),0) FROM calls")))[0]
        rows = list(self._rows("SELECT seq, low_water FROM outcomes ORDER BY seq DESC LIMIT 1"))
        outcome, low_water = rows[0] if rows else (0, 0)
        return int(call), int(outcome), int(low_water)  # type: ignore[call-overload]

    def unfinished(self) -> dict[tuple[str, str], list[int]]:
        """(stage, item) to the call rows that belong to none of its outcomes, in order of first call.

        Scans only the tail behind the low-water mark: what lies before it is finished.
        """
        _, _, low_water = self.last()
        tail: dict[tuple[str, str], list[int]] = {}
        for seq, stage, item in self.call_items_from(low_water):
            tail.setdefault((stage, item), []).append(seq)
        for stage in {stage for stage, _ in tail}:
            items = [item for its_stage, item in tail if its_stage == stage]
            for item, outcome in self.outcomes(stage, items).items():
                # Rows after an item's last outcome belong to a retry of it that did not end.
                tail[stage, item] = [seq for seq in tail[stage, item] if seq >= outcome.as_of]
        # In order of first call again: a retried item's first rows may just have been cut off.
        left = sorted((seqs[0], key, seqs) for key, seqs in tail.items() if seqs)
        return {key: seqs for _, key, seqs in left}

    def damaged_rows(self) -> Iterator[str]:
        """What is wrong with the file, one line each; nothing for a sound journal."""
        yield from self._until_unreadable("SQLite", self._integrity())
        for table, columns in (("calls", CALL_COLUMNS), ("outcomes", OUTCOME_COLUMNS)):
            sql = f"SELECT {columns} FROM {table} ORDER BY seq"  # noqa: S608
            yield from self._until_unreadable(table, self._unsound(table, sql))
        yield from self._until_unreadable("contents", self._unsound_contents())

    def _integrity(self) -> Iterator[str]:
        return (f"SQLite: {row[0]}" for row in self._rows("PRAGMA integrity_check") if row[0] != "ok")

    def _unsound(self, table: str, sql: str) -> Iterator[str]:
        for row in self._rows(sql):
            if not is_sound(table, row):
                yield f"{table} row {row[0]} ({row[1]} {row[2]}): checksum does not hold"

    def _unsound_contents(self) -> Iterator[str]:
        for kind, name, body, crc in self._rows("SELECT kind, name, body, checksum FROM contents"):
            if not is_sound("contents", (kind, name, body, crc)):
                yield f"contents {kind} {name}: checksum does not hold"

    def _until_unreadable(self, what: str, found: Iterator[str]) -> Iterator[str]:
        """What was found, and where reading broke off: the rest of the file is still worth a look."""
        try:
            yield from found
        except JournalDamaged as error:
            yield f"{what}: cannot be read to the end ({error.__cause__})"

    def sums(self, sql: str) -> Iterator[Columns]:
        """The rows of a query over the tables that every journal has; unchecked."""
        return self._rows(sql)

    def rows_of(self, table: str, sql: str, bindings: Sequence[object] = ()) -> Iterator[Columns]:
        """The rows of a query on a table that not every journal has; none where it is missing."""
        if list(self._rows("SELECT 1 FROM sqlite_master WHERE type='table' AND name=?", (table,))):
            yield from self._rows(sql, bindings)

    def _rows(self, sql: str, bindings: Sequence[object] = ()) -> Iterator[Columns]:
        try:
            yield from self._connection.execute(sql, bindings)
        except (
            apsw.CorruptError,
            apsw.NotADBError,
            apsw.IOError,
            apsw.SQLError,
            UnicodeDecodeError,
        ) as error:
            # SQLError: the page that says which tables there are was hit. UnicodeDecodeError: a text was.
            raise damaged(self.path, error) from error


_CALL_FACTS = (
    "seq, item, step, kind, endpoint, sent_at, latency_s, prompt_tokens, completion_tokens, cached_tokens,"
    " CASE kind WHEN 'reply' THEN NULL ELSE substr(reply, 1, 500) END"
)
_OUTCOME_FACTS = "seq, item, result, note, as_of, ended_at"
_READ_FLAGS = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


def open_if_begun(path: Path) -> Reader | None:
    """The journal at `path`; None where there is none, or its run was stopped before it held anything."""
    try:
        return Reader(path) if path.is_file() else None
    except NotBegun:
        return None


def _checked_content(kind: str, name: str, body: object, crc: object) -> bytes:
    if not isinstance(body, bytes) or not is_sound("contents", (kind, name, body, crc)):
        raise JournalDamaged(
            f"the journal's {kind} {name!r} fails its checksum; `engine verify RUN` says more."
        )
    return body
