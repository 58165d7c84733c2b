"""Builds the dataset of a run from its journal: streamed in plan order, replaced whole, never appended.

Works at any moment, also while another process holds the run: what has ended is there, in order.
"""

from __future__ import annotations

import errno
import glob
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import orjson

from engine.dataset.costs import read_costs
from engine.dataset.gate_counts import GateCounts
from engine.dataset.record import ConversationRecord, build_record, replay_exchange
from engine.dataset.tables import ShapeTally
from engine.errors import CannotWrite, DiskFull, UsageError
from engine.journal.inputs import RunInputs
from engine.journal.reader import Reader
from engine.journal.usage import in_flight_at_kills
from engine.scenarios.item_counts import ItemTally
from engine.schema.call import OutcomeRecord
from engine.schema.conversation import STAGE
from engine.schema.job import Job

_LOOKUP = 500
_NAMES = 20


@dataclass(slots=True)
class CellCounts:
    """What went by of one cell of a matrix; `engine matrix` compares them."""

    conversations: int = 0
    kept: int = 0
    utterances: int = 0
    end_reasons: Counter[str] = field(default_factory=Counter)

    def as_summary(self) -> dict[str, object]:
        """For JSON."""
        return {
            "conversations": self.conversations, "kept": self.kept,
            "mean_utterances": round(self.utterances / self.conversations, 4),
            "end_reasons": dict(sorted(self.end_reasons.items())),
        }  # fmt: skip


@dataclass(slots=True)
class DatasetCounts:
    """What went by while a dataset was built."""

    planned: int = 0
    kept: ShapeTally = field(default_factory=ShapeTally)
    dropped: ShapeTally = field(default_factory=ShapeTally)
    end_reasons: Counter[str] = field(default_factory=Counter)
    dropped_because: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    served_models: dict[str, Counter[str]] = field(default_factory=dict)
    gates: GateCounts = field(default_factory=GateCounts)
    items: ItemTally = field(default_factory=ItemTally)
    cells: dict[str, CellCounts] = field(default_factory=dict)
    sample: ConversationRecord | None = None

    @property
    def conversations(self) -> int:
        """How many conversations have ended."""
        return sum(self.end_reasons.values())

    def add(self, record: ConversationRecord) -> None:
        """Count one conversation."""
        tally = self.kept if record.is_kept else self.dropped
        tally.add(
            [(turn.role, turn.content) for turn in record.turns],
            (record.job.task, record.job.scenario_number),
        )
        if record.job.cell:
            cell = self.cells.setdefault(record.job.cell, CellCounts())
            cell.conversations += 1
            cell.kept += record.is_kept
            cell.utterances += len(record.turns)
            cell.end_reasons[record.end_reason.value] += 1
        self.end_reasons[record.end_reason.value] += 1
        self.dropped_because.update(record.dropped_because[:1])
        # Each rule once, in order: equal counts of a summary are to lie alike in each process.
        self.findings.update(dict.fromkeys(finding.rule for finding in record.findings).keys())
        self.gates.add(record)
        for side, names in record.served_models.items():
            whose = f"{side}, {record.job.cell}" if record.job.cell else side
            served = self.served_models.setdefault(whose, Counter())
            # A server that makes up a name for each reply must not fill the memory.
            known = [name if name in served or len(served) < _NAMES else "(others)" for name in names]
            served.update(dict.fromkeys(known, 1))
        items = record.fields.get("items")
        if isinstance(items, dict) and record.is_kept:
            self.items.add(record.job.job_id, items, [turn.role.value for turn in record.turns])
        if self.sample is None and record.is_kept:
            self.sample = record

    @property
    def served_model_changed(self) -> bool:
        """Whether replies to one side's calls came from models of several names."""
        return any(len(served) > 1 for served in self.served_models.values())

    def raw(self) -> ShapeTally:
        """All conversations, kept and dropped."""
        tally = ShapeTally()
        tally.merge(self.kept)
        tally.merge(self.dropped)
        return tally


def stream_outcomes(reader: Reader, inputs: RunInputs) -> Iterator[tuple[Job, OutcomeRecord]]:
    """Every job that has ended and its outcome, in plan order, looked up in batches."""
    jobs = inputs.plan.jobs()
    # The prefix of the plan that has been worked on may be a small part of it.
    left = reader.ended(STAGE)
    while left > 0 and (batch := list(islice(jobs, _LOOKUP))):
        outcomes = reader.outcomes(STAGE, [job.job_id for job in batch])
        left -= len(outcomes)
        yield from ((job, outcomes[job.job_id]) for job in batch if job.job_id in outcomes)


def stream_records(reader: Reader, inputs: RunInputs) -> Iterator[ConversationRecord]:
    """Every conversation that has ended, in plan order."""
    for job, outcome in stream_outcomes(reader, inputs):
        yield build_record(inputs, job, replay_exchange(reader, inputs, job, outcome))


def write_dataset(
    reader: Reader,
    inputs: RunInputs,
    path: Path,
    *,
    wanted: Callable[[ConversationRecord], bool] = lambda record: True,
) -> DatasetCounts:
    """Write the wanted records to `path` as JSON Lines, atomically; counts cover all of them."""
    counts = DatasetCounts(planned=len(inputs.plan))
    with replacing(path) as file:
        for record in stream_records(reader, inputs):
            counts.add(record)
            if wanted(record):
                file.write(orjson.dumps(record.fields, option=orjson.OPT_APPEND_NEWLINE))
    return counts


def write_summary(reader: Reader, counts: DatasetCounts, path: Path) -> dict[str, object]:
    """Write `summary.json`: Table 1's rows, end reasons, drops by rule, usage and durations."""
    totals = reader.totals()
    sessions = reader.sessions()
    kept, raw = counts.kept, counts.raw()
    summary: dict[str, object] = {
        "planned": counts.planned,
        "conversations": counts.conversations,
        "table1": {"raw": asdict(raw.row()), "kept": asdict(kept.row())},
        "table1_by_task": {
            "raw": {task: asdict(row) for task, row in raw.rows_by_task().items()},
            "kept": {task: asdict(row) for task, row in kept.rows_by_task().items()},
        },
        "end_reasons": dict(sorted(counts.end_reasons.items())),
        "dropped_because": dict(counts.dropped_because.most_common()),
        "findings": dict(counts.findings.most_common()),
        "served_models": {side: dict(served) for side, served in counts.served_models.items()},
        "served_model_changed": counts.served_model_changed,
        "usage": {
            "calls": totals.replies,
            "failed_calls": totals.failed,
            "possibly_paid_calls": totals.possibly_paid,
            "in_flight_at_kills_at_most": in_flight_at_kills(sessions, is_held=False),
            "retries": max(0, totals.tries - totals.replies),
            "prompt_tokens": totals.prompt_tokens,
            "completion_tokens": totals.completion_tokens,
            "cached_tokens": totals.cached_tokens,
        },
        "sessions": len(sessions),
        "sessions_not_ended_in_order": sum(session.ended_at is None for session in sessions),
        "duration_s": round(
            # The clock may have been set back meanwhile.
            sum(max(0.0, its.ended_at - its.started_at) for its in sessions if its.ended_at),
            3,
        ),
    }
    summary["cost"] = read_costs(reader).as_summary()
    if counts.cells:
        summary["cells"] = {name: cell.as_summary() for name, cell in counts.cells.items()}
    if counts.gates.judged:
        summary["gates"] = counts.gates.as_summary()
    if counts.items.conversations:
        summary["items"] = counts.items.as_summary()
    with replacing(path) as file:
        file.write(orjson.dumps(summary, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return summary


def update_cost(reader: Reader, path: Path) -> dict[str, object]:
    """What the run has cost by now, also put into its `summary.json` where there is one."""
    cost = read_costs(reader).as_summary()
    summary = None
    if path.is_file():
        with suppress(ValueError):  # edited; the next session writes it anew
            summary = orjson.loads(path.read_bytes())
    if isinstance(summary, dict):
        with replacing(path) as file:
            summary["cost"] = cost
            file.write(orjson.dumps(summary, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return cost


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` only when it is whole and on disk."""
    if not path.name or path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(path)
        # Private from the first byte: dialogues and profiles are in it.
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"{path}: the disk is full; the file there before is untouched.") from error
        raise CannotWrite(f"{path}: cannot be written ({error.strerror}).") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _sweep(path: Path) -> None:
    """Remove what processes left that were killed while they wrote `path`."""
    for left_over in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        pid = left_over.name.rsplit(".", 2)[1]
        if pid.isdigit() and not is_alive(int(pid)):
            left_over.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Whether a process of this number is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
