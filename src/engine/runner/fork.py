"""Makes a new run that begins with what another one's replies are worth under other content.

A reply is taken over where the new run would ask the very same question: same conversation, step and attempt,
same digest of parameters and messages. So each conversation is taken up to its first difference, and what
follows is asked by the run as usual: its journal looks as if it had been killed there (P2). What was taken
over belongs to session 0 and is no expense of the new run.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import apsw

from engine.config.matrix import variants_of
from engine.errors import CannotWrite, UsageError
from engine.journal.inputs import RunInputs, stored_plan
from engine.journal.journal import JOURNAL_NAME, open_for_writing
from engine.journal.reader import Reader, open_if_begun
from engine.journal.rows import call_values, outcome_values
from engine.journal.writer import describe_write_error
from engine.llm.exchange import Exchange
from engine.runner.endpoints import request_form
from engine.runner.merge import temporary_folder
from engine.runner.run_folder import RunFolder
from engine.schema.call import CallKind, CallRecord, OutcomeRecord, call_seed
from engine.schema.conversation import STAGE, EndReason
from engine.schema.job import Job
from engine.wire.formats import decode_recorded

FORKED_FROM = "forked_from"
TAKEN_OVER = 0
_BATCH = 500


def fork_run(old: RunFolder, new: RunFolder, inputs: RunInputs) -> int:
    """Make the run `new` for `inputs` with the replies of `old` that still match; how many they are.

    Where `new` is such a run of `old` already, nothing is done: 0. Raises UsageError where it is another run.
    """
    if new.path.exists():
        if _source(new) == old.name:
            return 0
        raise UsageError(f"--fork: there is a run {new.name} already; choose another name for the new one.")
    made = RunFolder(temporary_folder(new.path.parent, ".forking-"))
    try:
        unfinished = made.path / f"forking-{JOURNAL_NAME}"
        with closing(Reader(old.journal)) as reader:
            taken = _take_over(reader, inputs, unfinished, old.name)
        unfinished.rename(made.journal)
        made.path.rename(new.path)
    except OSError as error:
        raise CannotWrite(f"{new.path}: cannot be written ({error.strerror}).") from error
    finally:
        shutil.rmtree(made.path, ignore_errors=True)
    return taken


def _source(folder: RunFolder) -> str | None:
    reader = open_if_begun(folder.journal)
    if reader is None:
        return None
    with closing(reader):
        return reader.meta(FORKED_FROM)


def _take_over(reader: Reader, inputs: RunInputs, journal: Path, name: str) -> int:
    connection = open_for_writing(journal)
    calls = outcomes = 0
    try:
        with connection:
            connection.execute("INSERT INTO meta VALUES (?,?)", (FORKED_FROM, name))
            for exchange, records in matching(reader, inputs):
                seqs = tuple(range(calls + 1, calls + 1 + len(records)))
                calls += len(records)
                for seq, record in zip(seqs, records, strict=True):
                    _insert(connection, "calls", call_values(record._replace(seq=seq, session=TAKEN_OVER)))
                if exchange.question is None:
                    outcomes += 1
                    end, ended_at = exchange.dialogue, records[-1].sent_at + records[-1].latency_s
                    row = OutcomeRecord(
                        outcomes, STAGE, exchange.job.job_id, end.end_reason or EndReason.FAILED, "",
                        end.rounds, seqs, calls + 1, 0, ended_at, TAKEN_OVER,
                    )  # fmt: skip
                    _insert(connection, "outcomes", outcome_values(row))
    except apsw.Error as error:
        raise describe_write_error(error) from error
    finally:
        connection.close()
    return calls


def matching(reader: Reader, inputs: RunInputs) -> Iterator[tuple[Exchange, list[CallRecord]]]:
    """For each job of the plan, in its order, of which replies still match: how far it got, and with what."""
    forms = {each.key: request_form(each.settings) for each in variants_of(inputs.config)}
    for job, recorded in _recorded(reader, inputs):
        sides = inputs.cell(job).sides
        best: tuple[Exchange, list[CallRecord]] | None = None
        for calls in recorded:
            replies = {(its.step, its.attempt): its for its in calls if its.kind == CallKind.REPLY}
            exchange = Exchange(job, inputs.prompts(job), inputs.rules(job))
            used: list[CallRecord] = []
            while (question := exchange.question) is not None:
                record = replies.get((question.key.step, question.key.attempt))
                seed = call_seed(inputs.config.seed, question.key)
                digest = forms[sides[question.side].key].digest(question.messages, seed=seed)
                if record is None or record.request_digest != digest:
                    break
                used.append(record._replace(item=job.job_id))
                exchange.receive(decode_recorded(record.reply), record.seq)
            if used and (best is None or len(used) > len(best[1])):
                best = exchange, used
        if best is not None:
            yield best


def _recorded(reader: Reader, inputs: RunInputs) -> Iterator[tuple[Job, list[list[CallRecord]]]]:
    """Every job of the plan that has calls, and those calls, of each cell in which the old run held it.

    A job has the same seeds in all cells, so that another cell's conversation, or that of a run without a
    matrix, may be the same.
    """
    unfinished = reader.unfinished()
    old = stored_plan(reader)
    cells = old.cells if old is not None and old.cells else ("",)
    jobs = inputs.plan.jobs()
    while batch := list(islice(jobs, _BATCH)):
        names = [[job._replace(cell=cell).job_id for cell in cells] for job in batch]
        outcomes = reader.outcomes(STAGE, [name for each in names for name in each])
        for job, its_names in zip(batch, names, strict=True):
            found = []
            for name in its_names:
                outcome = outcomes.get(name)
                seqs = [*(outcome.calls if outcome else ()), *unfinished.get((STAGE, name), ())]
                if seqs:
                    found.append(reader.calls(seqs))
            if found:
                yield job, found


def _insert(connection: apsw.Connection, table: str, values: tuple[object, ...]) -> None:
    marks = ",".join("?" * len(values))
    connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)  # noqa: S608
