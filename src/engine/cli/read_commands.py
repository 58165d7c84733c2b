"""Commands that only read a run, also while it is being worked on: status, show, verify."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
import orjson

from engine.cli.display import describe_cost, describe_failure
from engine.cli.imported_run import if_imported, say_conversation, say_status, say_verified
from engine.cli.plain_text import plain
from engine.cli.shared_options import json_option, run_argument, runs_dir_option
from engine.cli.watch import watch
from engine.config.identity import compare, identity_fields
from engine.config.matrix import variants_of
from engine.config.run_address import run_address
from engine.dataset.build import stream_outcomes
from engine.dataset.costs import read_costs
from engine.dataset.record import build_record
from engine.errors import BadInput, EngineError, JournalDamaged
from engine.journal.inputs import RunInputs, read_inputs
from engine.journal.reader import Reader
from engine.journal.usage import in_flight_at_kills
from engine.llm.exchange import Exchange, Question
from engine.llm.history import History
from engine.llm.prices import usd
from engine.runner.endpoints import request_form
from engine.runner.overview import last_failure
from engine.runner.run_folder import RunFolder, existing_folder
from engine.runner.session import STOPPED_BECAUSE
from engine.schema.call import CallRecord, OutcomeRecord, call_seed
from engine.schema.conversation import STAGE, EndReason, Role
from engine.schema.job import Job

_SIDES = {"simulator": Role.USER, "assistant": Role.ASSISTANT}


@contextmanager
def opened(runs_dir: Path, run_name: str) -> Iterator[tuple[RunFolder, Reader, RunInputs]]:
    """A run's folder, journal and inputs, for reading."""
    folder = existing_folder(runs_dir, run_name)
    reader = Reader(folder.journal)
    try:
        yield folder, reader, read_inputs(reader)
    finally:
        reader.close()


@click.command()
@run_argument
@runs_dir_option
@json_option
@click.option("--watch", "is_watching", is_flag=True, help="Look again and again until the run ends.")
@click.option(
    "--every", type=click.FloatRange(0.1, 3600), metavar="S", help="Seconds between looks.  [default: 3]"
)
def status(run_name: str, runs_dir: Path, as_json: bool, is_watching: bool, every: float | None) -> int:
    """How far RUN is, and what a resume will still cost."""
    said = if_imported(runs_dir, run_name, partial(say_status, as_json=as_json))
    if said is not None:
        return said
    if is_watching:
        return watch(existing_folder(runs_dir, run_name), every_s=every, as_json=as_json)
    with opened(runs_dir, run_name) as (folder, reader, inputs):
        facts = run_status(folder, reader, inputs)
    if as_json:
        click.echo(json.dumps(facts))
        return 0
    click.echo(f"run {facts['run']}: {facts['state']}")
    reasons = facts["end_reasons"]
    assert isinstance(reasons, dict)
    by = ", ".join(f"{reason} {count}" for reason, count in reasons.items())
    click.echo(f"  conversations  {facts['ended']} of {facts['planned']} ended{by and f': {by}'}")
    if facts["last_failure"]:
        click.echo(f"  last failure   {facts['last_failure']}")
    click.echo(f"  unfinished     {facts['unfinished']} begun and not ended")
    lost = (
        f", and at most {facts['in_flight_at_kills']} in the air at kills"
        if facts["in_flight_at_kills"]
        else ""
    )
    click.echo(
        f"  calls          {facts['calls']} paid replies, {facts['possibly_paid']} possibly paid{lost}"
    )
    click.echo(
        f"  tokens         {facts['prompt_tokens']} in ({facts['cached_tokens']} of them cached), "
        f"{facts['completion_tokens']} out"
    )
    if facts["stopped_because"]:
        click.echo(f"  because        {facts['stopped_because']}")
    if facts["cost"]:
        click.echo(f"  cost           {facts['cost']}{_of(facts['max_cost_usd'])}")
    if facts["remaining"]:
        worth = facts["remaining_cost_usd"]
        click.echo(
            f"  still to do    {facts['remaining']} conversations, about {facts['remaining_calls']} calls, "
            f"{facts['remaining_prompt_tokens']} tokens in and {facts['remaining_completion_tokens']} out"
            + ("" if worth is None else f", {worth:.4f} USD")
        )
        if facts["state"] == "paused":
            click.echo(f"  go on with     engine adjust {run_address(folder.path)} --go-on")
        elif facts["state"] != "being worked on":
            click.echo(f"  go on with     engine resume {run_address(folder.path)}")
    return 0


def _of(limit: object) -> str:
    return "" if limit is None else f"; limit {limit} USD"


def run_status(folder: RunFolder, reader: Reader, inputs: RunInputs) -> dict[str, object]:
    """The facts behind `status`. What remains is estimated from what has ended so far."""
    ended_by = reader.counts_by_result(STAGE)
    ended, planned = sum(ended_by.values()), len(inputs.plan)
    totals, sessions = reader.totals(STAGE), reader.sessions()
    remaining = max(0, planned - ended)
    unfinished = sum(stage == STAGE for stage, _ in reader.unfinished())
    # Begun conversations have paid for a part of their calls already; on average half.
    share = max(0.0, remaining - unfinished / 2) / max(1.0, ended + unfinished / 2)
    state = "being worked on" if folder.is_held() else "stopped" if remaining else "complete"
    if state == "being worked on" and reader.meta("paused") == "yes":
        state = "paused"
    if state == "stopped" and sessions and sessions[-1].ended_at is None:
        state = "killed"
    failure = last_failure(reader) if ended_by.get(EndReason.FAILED.value) else None
    costs = read_costs(reader, is_held=folder.is_held())
    held = sum(row.cost or 0 for row in costs.rows if row.stage == STAGE)
    return {
        "run": folder.name,
        "state": state,
        "planned": planned,
        "ended": ended,
        "end_reasons": ended_by,
        "unfinished": unfinished,
        "remaining": remaining,
        "calls": totals.replies,
        "possibly_paid": totals.possibly_paid,
        "in_flight_at_kills": in_flight_at_kills(sessions, is_held=folder.is_held()),
        "prompt_tokens": totals.prompt_tokens,
        "completion_tokens": totals.completion_tokens,
        "cached_tokens": totals.cached_tokens,
        "remaining_calls": round(totals.replies * share),
        "remaining_prompt_tokens": round(totals.prompt_tokens * share),
        "remaining_completion_tokens": round(totals.completion_tokens * share),
        "cost": describe_cost({"cost": costs.as_summary()}),
        "cost_usd": usd(costs.cost) if costs.is_known else None,
        "possibly_cost_usd": usd(costs.possibly) if costs.is_known else None,
        "models_without_price": costs.unpriced,
        "max_cost_usd": inputs.config.budget.max_cost_usd,
        "max_tokens": inputs.config.budget.max_tokens,
        "remaining_cost_usd": usd(held) * share if costs.is_known else None,
        "sessions": len(sessions),
        "stopped_because": (reader.meta(STOPPED_BECAUSE) or None) if state == "stopped" else None,
        "last_failure": None if failure is None else describe_failure(failure),
    }


@click.command()
@run_argument
@click.argument("conversation")
@click.option("--as-sent", "side", type=click.Choice(sorted(_SIDES)), help="What this side was sent.")
@click.option("--raw", is_flag=True, help="The replies' bytes as they came, one per line.")
@runs_dir_option
@json_option
def show(run_name: str, conversation: str, side: str | None, raw: bool, runs_dir: Path, as_json: bool) -> int:
    """Show one CONVERSATION of RUN, ended or not, whole."""
    said = if_imported(
        runs_dir, run_name, partial(say_conversation, conversation_id=conversation, as_json=as_json or raw)
    )
    if said is not None:
        return said
    with opened(runs_dir, run_name) as (_, reader, inputs):
        job = find_job(inputs, conversation)
        outcome = reader.outcomes(STAGE, [conversation]).get(conversation)
        seqs = outcome.calls if outcome else reader.unfinished().get((STAGE, conversation), ())
        records = reader.calls(seqs)
        if not records and outcome is None:
            raise BadInput(f"conversation {conversation!r} is planned in run {run_name}, and not begun.")
        if raw:
            for record in records:
                step = f"{record.step}.{record.attempt}" if record.attempt else record.step
                click.echo(f"{step}\t{record.reply.decode('utf-8', 'replace')}")
            return 0
        exchange = Exchange(job, inputs.prompts(job), inputs.rules(job))
        sent: list[bytes] = []

        def note(question: Question, record: CallRecord) -> None:
            if side and question.side is _SIDES[side]:
                sent.append(question.messages.body())

        exchange.replay([record for record in records if record.kind == "reply"], note)
        if side:
            if not sent:
                raise BadInput(f"the {side} was not asked in conversation {conversation}.")
            # Prefixes only grow, so the last request holds all of them.
            messages = orjson.loads(b"[" + sent[-1] + b"]")
            _print_messages(messages, as_json=as_json)
            return 0
        if exchange.question is not None and outcome is not None:
            exchange.end(EndReason(outcome.result))
        if outcome is None:
            _print_messages(
                [{"role": turn.role, "content": turn.content} for turn in exchange.dialogue.turns],
                as_json=as_json,
            )
            click.echo("(not ended yet)", err=True)
            return 0
        _print_record(build_record(inputs, job, exchange).fields, outcome, as_json=as_json)
    return 0


def find_job(inputs: RunInputs, conversation: str) -> Job:
    """The job of a conversation's id; BadInput where the plan does not hold it."""
    job = inputs.plan.index().find(conversation)
    if job is None:
        example = next(inputs.plan.jobs()).job_id
        raise BadInput(f"there is no conversation {conversation!r} in this run; ids look like {example}.")
    return job


def _print_messages(messages: list[dict[str, str]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(messages, ensure_ascii=False))
        return
    for message in messages:
        click.echo(f"[{message['role']}]\n{plain(message['content'])}\n")


def _print_record(fields: dict[str, object], outcome: OutcomeRecord, *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(fields).decode())
        return
    scenario, profile = fields["scenario"], fields["profile"]
    assert isinstance(scenario, dict)
    assert isinstance(profile, dict)
    click.echo(f"{fields['id']}: {fields['task_name']}, scenario {scenario['number']}, {fields['language']}")
    click.echo(plain(f"\n{scenario['text']}\n\n{profile['text']}\n"))
    history = fields["history"]
    assert isinstance(history, list)
    _print_messages(history, as_json=False)
    kept = "kept" if fields["kept"] else f"dropped because: {', '.join(map(str, fields['dropped_because']))}"  # type: ignore[call-overload]
    click.echo(f"ended: {fields['end_reason']} after {fields['rounds']} rounds; {kept}")
    if outcome.note:
        click.echo(f"failure: {outcome.note}")
    flags = fields["flags"]
    assert isinstance(flags, list)
    for flag in flags:
        found = f"{flag['rule']} ({flag['side']}, turn {flag['turn']}) {flag['detail']}"
        click.echo(plain(f"  {flag['effect']}: {found}"))


@click.command()
@run_argument
@runs_dir_option
@json_option
def verify(run_name: str, runs_dir: Path, as_json: bool) -> int:
    """Check every row's checksum, and that each finished conversation replays from its own requests."""
    said = if_imported(runs_dir, run_name, partial(say_verified, as_json=as_json))
    if said is not None:
        return said
    folder = existing_folder(runs_dir, run_name)
    reader = Reader(folder.journal)
    problems = list(reader.damaged_rows())
    checked = 0
    try:
        if not problems:
            inputs = read_inputs(reader)
            checked, problems = _replay_all(reader, inputs)
    finally:
        reader.close()
    if as_json:
        click.echo(json.dumps({"run": folder.name, "conversations": checked, "problems": problems}))
    else:
        for problem in problems:
            click.echo(problem)
        click.echo(f"{checked} conversations replayed, {len(problems)} problems")
    return JournalDamaged.exit_code if problems else 0


def _replay_all(reader: Reader, inputs: RunInputs) -> tuple[int, list[str]]:
    forms = {each.key: request_form(each.settings) for each in variants_of(inputs.config)}

    def check(job: Job, question: Question, call: CallRecord) -> None:
        seed = call_seed(inputs.config.seed, question.key)
        form = forms[inputs.cell(job).sides[question.side].key]
        History([call]).find(question.key, form.digest(question.messages, seed=seed))

    problems: list[str] = []
    checked = 0
    for job, outcome in stream_outcomes(reader, inputs):
        exchange = Exchange(job, inputs.prompts(job), inputs.rules(job))
        try:
            exchange.replay(reader.calls(outcome.calls), partial(check, job))
        except EngineError as error:
            problems.append(f"{job.job_id}: {error}")
        checked += 1
    # These rows carry no checksum; each is told by what else the journal says.
    for field, then, now in compare(reader.identity(STAGE), identity_fields(inputs.config)):
        if field != "gates.version":
            problems.append(f"identity {field}: it says {then}, the configuration kept beside it {now}")
    if (ended := sum(reader.counts_by_result(STAGE).values())) != checked:
        problems.append(f"plan: {ended - checked} of {ended} conversations that have ended are not in it")
    return checked, problems
