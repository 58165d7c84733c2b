"""Makes a new run out of what is whole in a damaged one; the damaged one is only read.

A conversation of which every reply is there stays as it ended. One that lost replies goes back to its last
reply before the first lost one, and a resume asks from there: what was lost is lost, and the rest is not paid
for again. What decides content comes from the journal, or from `run.yaml` where the journal's own is gone.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import apsw
from pydantic import ValidationError

from engine.config.identity import identity_fields
from engine.config.settings import RunConfig
from engine.errors import BadInput, CannotWrite, EngineError, RunLocked, UsageError
from engine.journal.inputs import RunInputs, decode_plan, encode_plan, input_contents, read_inputs
from engine.journal.journal import JOURNAL_NAME, open_for_writing
from engine.journal.reader import Reader
from engine.journal.rows import checksum, outcome_values
from engine.journal.salvage import Salvage
from engine.journal.writer import describe_write_error
from engine.llm.exchange import Exchange
from engine.runner.merge import temporary_folder
from engine.runner.prepare import prepare
from engine.runner.run_folder import RunFolder
from engine.schema.call import CallKind, CallRecord, OutcomeRecord
from engine.schema.conversation import STAGE


@dataclass(frozen=True, slots=True)
class Rescued:
    """What was saved and what was not.

    `missing` numbers of call rows were given and are not there; `undone` conversations and other items had
    ended and lost replies; `set_aside` replies stand behind a lost one. What lay behind the last row that is
    there, nobody can count.
    """

    calls: int
    outcomes: int
    missing: int
    undone: int
    set_aside: int


def rescue_run(folder: RunFolder, new: RunFolder) -> Rescued:
    """Make the run `new` of every row of `folder`'s journal whose checksum holds.

    Raises BadInput where there is none, or nothing says what the run was made with. Then nothing is left.
    """
    if new.path.exists():
        raise UsageError(f"there is a run {new.name} already; choose another name for the rescued one.")
    if folder.is_held():
        raise RunLocked(f"run {folder.name} is being worked on; rescue it when that has ended.")
    made = RunFolder(temporary_folder(new.path.parent, ".rescuing-"))
    try:
        unfinished = made.path / f"rescuing-{JOURNAL_NAME}"
        connection = open_for_writing(unfinished)
        try:
            _copy_rows(folder.journal, connection)
            config, config_dir = _find_settings(folder, connection)
            with closing(Reader(unfinished)) as reader:
                inputs = _find_inputs(reader, connection, config, config_dir)
                found = _undo_what_is_not_whole(reader, connection, inputs)
        except apsw.Error as error:
            raise describe_write_error(error) from error
        finally:
            connection.close()
        made.write_settings(config, identity_fields(config), config_dir)
        unfinished.rename(made.journal)
        made.path.rename(new.path)
    except OSError as error:
        raise CannotWrite(f"{new.path}: cannot be written ({error.strerror}).") from error
    finally:
        shutil.rmtree(made.path, ignore_errors=True)
    return found


def _copy_rows(journal: Path, connection: apsw.Connection) -> None:
    with Salvage(journal) as salvage, connection:
        for table, columns in salvage.rows():
            if table == "meta" and columns[0] == "schema":
                continue
            marks = ",".join("?" * len(columns))
            # A later page's row takes the place of an earlier one's.
            connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", columns)  # noqa: S608
    if not connection.execute("SELECT 1 FROM calls LIMIT 1").fetchall():
        raise BadInput(f"{journal}: no reply whose checksum holds was found in it; there is nothing to save.")


def _find_settings(folder: RunFolder, connection: apsw.Connection) -> tuple[RunConfig, Path | None]:
    """What the run was made with; what of it the journal has no more, comes from `run.yaml` and its files."""
    kept = {str(key): str(value) for key, value in connection.execute("SELECT key, value FROM meta")}
    config, config_dir, plan = None, None, None
    with suppress(EngineError):
        config, config_dir = folder.read_settings()
    with suppress(KeyError, ValidationError):
        config = RunConfig.model_validate_json(kept["config"])
    with suppress(KeyError, EngineError):
        plan = decode_plan(kept["plan"])
    if config is None:
        raise BadInput(
            f"{folder.path}: neither the journal nor run.yaml says what the run was made with any more. Put "
            "the run.yaml of a run with the same content into the folder, and try again."
        )
    if plan is None:
        plan = prepare(config, config_dir=config_dir).plan
    rows = [("config", config.model_dump_json()), ("plan", encode_plan(plan))]
    fields = [(STAGE, *field) for field in identity_fields(config).items()]
    with connection:
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?,?)", rows)
        connection.execute("DELETE FROM identity WHERE stage=? AND field<>'gates.version'", (STAGE,))
        # What an earlier version's gates decided stays that version's.
        connection.executemany("INSERT OR IGNORE INTO identity VALUES (?,?,?)", fields)
    return config, config_dir


def _find_inputs(
    reader: Reader, connection: apsw.Connection, config: RunConfig, config_dir: Path | None
) -> RunInputs:
    """The templates and profiles that the journal kept; where one of them is gone, it comes from its file.

    Were such a file another one now, a resume would refuse it: recorded requests keep their digests.
    """
    with suppress(EngineError):
        inputs = read_inputs(reader)
        for job in inputs.plan.jobs():
            inputs.prompts(job)
        return inputs
    inputs = replace(prepare(config, config_dir=config_dir), plan=decode_plan(reader.meta("plan") or ""))
    with connection:
        for kind, name, body in input_contents(inputs):
            row = (kind, name, body, checksum((kind, name, body)))
            connection.execute("INSERT OR IGNORE INTO contents VALUES (?,?,?,?)", row)
    return read_inputs(reader)


def _undo_what_is_not_whole(reader: Reader, connection: apsw.Connection, inputs: RunInputs) -> Rescued:
    """Remove outcomes that miss a reply, and replies that stand behind a lost one; count all of it."""
    last_call, last_outcome, _ = reader.last()
    calls, outcomes = (_count(connection, table) for table in ("calls", "outcomes"))
    undone = 0
    for stage in reader.stages():
        for outcome in list(_without_a_call(reader, connection, stage)):
            connection.execute("DELETE FROM outcomes WHERE seq=?", (outcome.seq,))
            undone += 1
    _begin_each_scan_at_the_first_row(reader, connection)
    set_aside = 0
    for (stage, item), seqs in reader.unfinished().items():
        earlier = reader.outcomes(stage, [item]).get(item)
        records = reader.calls([*(earlier.calls if earlier else ()), *seqs])
        whole = _usable(inputs, item, records) if stage == STAGE else set()
        left_out = [
            record.seq for record in records
            if record.kind == CallKind.REPLY and record.seq in seqs and record.seq not in whole
        ]  # fmt: skip
        connection.executemany("DELETE FROM calls WHERE seq=?", [(seq,) for seq in left_out])
        set_aside += len(left_out)
    return Rescued(
        calls - set_aside, outcomes - undone, last_call - calls + last_outcome - outcomes, undone, set_aside
    )


def _without_a_call(reader: Reader, connection: apsw.Connection, stage: str) -> Iterator[OutcomeRecord]:
    for outcome in reader.all_outcomes(stage):
        marks = ",".join("?" * len(outcome.calls))
        sql = f"SELECT count(*) FROM calls WHERE seq IN ({marks})"  # noqa: S608
        ((there,),) = connection.execute(sql, outcome.calls).fetchall()
        if there != len(set(outcome.calls)):
            yield outcome


def _begin_each_scan_at_the_first_row(reader: Reader, connection: apsw.Connection) -> None:
    """No low-water mark holds any more: what had ended before it may be unfinished again."""
    for stage in reader.stages():
        for outcome in list(reader.all_outcomes(stage)):
            values = outcome_values(outcome._replace(low_water=0))
            marks = ",".join("?" * len(values))
            connection.execute(f"INSERT OR REPLACE INTO outcomes VALUES ({marks})", values)  # noqa: S608


def _usable(inputs: RunInputs, item: str, records: list[CallRecord]) -> set[int]:
    """The replies of a conversation up to its first question that has none any more."""
    job = inputs.plan.index().find(item)
    if job is None:
        return set()
    replies = {(its.step, its.attempt): its for its in records if its.kind == CallKind.REPLY}
    exchange = Exchange(job, inputs.prompts(job), inputs.rules(job), keeps_requests=False)
    used: set[int] = set()
    while (question := exchange.question) is not None:
        record = replies.get((question.key.step, question.key.attempt))
        if record is None:
            break
        exchange.replay([record])
        used.add(record.seq)
    return used


def _count(connection: apsw.Connection, table: str) -> int:
    ((count,),) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608
    return int(str(count))
