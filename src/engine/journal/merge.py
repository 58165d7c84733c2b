"""Writes several journals into a new one: every row under a new number, so that all accounts stay.

An item that two of them have is taken where both got the same replies, as far as both got, and refused where
they did not: a merged run has one conversation per job.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import apsw

from engine.errors import BadInput
from engine.journal.journal import open_for_writing
from engine.journal.reader import Reader
from engine.journal.rows import call_values, checksum, outcome_values
from engine.journal.writer import describe_write_error
from engine.schema.call import CallKind, CallRecord
from engine.schema.conversation import EndReason

_BATCH = 1_000
_Row = TypeVar("_Row")
_Item = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Held:
    """What a journal holds of an item: its replies, and how it ended, or None."""

    replies: tuple[tuple[object, ...], ...]
    result: str | None


def merge_journals(
    new: Path,
    readers: Mapping[str, Reader],
    *,
    meta: Mapping[str, str],
    identity: Mapping[str, Mapping[str, str]],
) -> int:
    """Write the journal `new` from those of `readers` (by run name), in their order.

    Of texts that several have the first is taken: compare them before. Returns how many items stood in more
    than one. Raises BadInput, naming the item, where two got different replies.
    """
    connection = open_for_writing(new)
    try:
        with connection:
            connection.executemany("INSERT OR REPLACE INTO meta VALUES (?,?)", list(meta.items()))
            for stage, fields in identity.items():
                rows = [(stage, *field) for field in fields.items()]
                connection.executemany("INSERT INTO identity VALUES (?,?,?)", rows)
        so_far = Reader(new)
        try:
            merge = _Merge(connection, so_far)
            for name, reader in readers.items():
                merge.add(name, reader)
        finally:
            so_far.close()
        return merge.shared
    except apsw.Error as error:
        raise describe_write_error(error) from error
    finally:
        connection.close()


class _Merge:
    """Adds one journal after another to the new one."""

    def __init__(self, connection: apsw.Connection, so_far: Reader) -> None:
        self._connection = connection
        self._so_far = so_far
        self._names: list[str] = []
        self.shared = 0

    def add(self, name: str, reader: Reader) -> None:
        """Copy the rows of `reader`, but for items that the new journal has in full."""
        last_call, last_outcome, _ = self._so_far.last()
        open_before = self._so_far.unfinished()
        skipped = self._compare(name, reader, open_before)
        sessions = self._so_far.sessions()
        shift = sessions[-1].session if sessions else 0
        # What an earlier run left unfinished has to stay behind the mark of all later outcomes.
        mark = min((seqs[0] for seqs in open_before.values()), default=last_call + 1)
        for calls in _batches(reader.calls_from(0)):
            self._insert(
                "calls",
                [
                    call_values(
                        call._replace(seq=call.seq + last_call, session=call.session and call.session + shift)
                    )
                    for call in calls
                    if (call.stage, call.item) not in skipped
                ],
            )
        for stage in reader.stages():
            for outcomes in _batches(reader.all_outcomes(stage)):
                self._insert(
                    "outcomes",
                    [
                        outcome_values(
                            outcome._replace(
                                seq=outcome.seq + last_outcome,
                                calls=tuple(seq + last_call for seq in outcome.calls),
                                as_of=outcome.as_of + last_call,
                                low_water=min(mark, outcome.low_water + last_call),
                                session=outcome.session and outcome.session + shift,
                            )
                        )
                        for outcome in outcomes
                        if (stage, outcome.item) not in skipped
                    ],
                )
        self._insert(
            "sessions",
            [
                (
                    its.session + shift,
                    its.started_at,
                    its.ended_at,
                    its.ended_as,
                    its.concurrency,
                    its.settings,
                )
                for its in reader.sessions()
            ],
        )
        for kind in reader.content_kinds():
            for texts in _batches(reader.contents(kind)):
                rows = [(kind, text, body, checksum((kind, text, body))) for text, body in texts]
                self._insert("contents", rows)
        self._names.append(name)

    def _compare(self, name: str, reader: Reader, open_before: Mapping[_Item, Sequence[int]]) -> set[_Item]:
        """The items of `reader` that need not be copied; raises BadInput for replies that differ."""
        skipped: set[_Item] = set()
        for item, theirs in _items(reader):
            ours = self._held(item, open_before)
            if ours is None:
                continue
            self.shared += 1
            both_ended = ours.result not in (None, EndReason.FAILED) and theirs.result not in (
                None,
                EndReason.FAILED,
            )
            # Where one of them has not ended or failed, it may be a part of the other.
            same = all(a == b for a, b in zip(ours.replies, theirs.replies, strict=False))
            if not same or (both_ended and len(ours.replies) != len(theirs.replies)):
                raise BadInput(
                    f"{item[1]}: run {name} and run {' or '.join(self._names)} hold different replies for "
                    "it, and a merged run has one conversation per job. Nothing was written. Leave one of "
                    "the runs out."
                )
            if ours.result is not None and (ours.result != EndReason.FAILED or ours.result == theirs.result):
                skipped.add(item)
        return skipped

    def _held(self, item: _Item, open_before: Mapping[_Item, Sequence[int]]) -> _Held | None:
        outcome = self._so_far.outcomes(item[0], [item[1]]).get(item[1])
        if outcome is not None:
            return _Held(_replies(self._so_far, outcome.calls), outcome.result)
        seqs = open_before.get(item)
        return None if seqs is None else _Held(_replies(self._so_far, seqs), None)

    def _insert(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            marks = ",".join("?" * len(rows[0]))
            how = "INSERT OR IGNORE" if table == "contents" else "INSERT"
            with self._connection:
                self._connection.executemany(f"{how} INTO {table} VALUES ({marks})", rows)


def _items(reader: Reader) -> Iterator[tuple[_Item, _Held]]:
    """Every item of a journal, the last outcome of each, and what is unfinished."""
    for stage in reader.stages():
        for outcomes in _batches(reader.all_outcomes(stage)):
            latest = reader.outcomes(stage, [outcome.item for outcome in outcomes])
            for outcome in outcomes:
                if latest[outcome.item].seq == outcome.seq:
                    yield (stage, outcome.item), _Held(_replies(reader, outcome.calls), outcome.result)
    for item, seqs in reader.unfinished().items():
        if item[1] not in reader.outcomes(item[0], [item[1]]):  # else it is a retry of a failed one
            yield item, _Held(_replies(reader, seqs), None)


def _replies(reader: Reader, seqs: Sequence[int]) -> tuple[tuple[object, ...], ...]:
    calls: list[CallRecord] = reader.calls(seqs)
    return tuple(
        (call.step, call.attempt, call.request_digest, call.reply)
        for call in calls
        if call.kind == CallKind.REPLY
    )


def _batches(rows: Iterator[_Row]) -> Iterator[list[_Row]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch
