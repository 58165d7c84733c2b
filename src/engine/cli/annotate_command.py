"""`engine annotate`: judges over a run's conversations, and what people said, in and out as files."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import click

from engine.annotation.annotate import Estimate, Work, estimate, plan_work, stages_of
from engine.annotation.annotator import INCOMPLETE, Judge
from engine.annotation.files import check_targets, read_annotation_file, write_annotation_file
from engine.annotation.measures import Measures
from engine.annotation.people import put_people
from engine.annotation.registry import ANNOTATORS, judge_name, own_judge
from engine.annotation.stored import RunAnnotations, merging_notes
from engine.cli.at_work import at_work
from engine.cli.budget_options import budget_options, with_budget
from engine.cli.display import describe_cost, describe_duration
from engine.cli.exit_codes import find_engine_error
from engine.cli.plain_text import plain
from engine.cli.section_tables import print_table, table_console
from engine.cli.serving import loop_options
from engine.cli.shared_options import (
    disk_option,
    json_option,
    new_runs_dir_option,
    run_argument,
    runs_of,
)
from engine.clock import SystemClock
from engine.config.load import load_config, load_presets
from engine.config.run_address import run_address
from engine.config.settings import RunConfig
from engine.dataset.build import replacing, update_cost
from engine.dataset.source import open_dataset
from engine.errors import CannotWrite, EngineError, IdentityChanged, UsageError
from engine.journal.imports import read_import_facts
from engine.journal.reader import Reader
from engine.runner.progress import RunProgress
from engine.runner.run_folder import RunFolder, existing_folder
from engine.runner.stage import DONE, FAILED, Stage
from engine.runner.stages import StagesResult, work_on_stages

DONE_WITH_FAILURES = 3
_MEASURED = ("recovery", "consistency", "goal")


@click.command("annotate")
@run_argument
@click.option(
    "--with", "names", metavar="NAME,...", help=f"What to annotate: {', '.join(ANNOTATORS)}; or all."
)
@click.option(
    "--judge", "judges", multiple=True, metavar="PRESET",
    help="A preset or stage of the configuration; may be repeated. Default: the annotator's own stage.",
)  # fmt: skip
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE",
    help="Endpoints, stages and presets; default: those the run was made with.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The first N conversations.")
@click.option("--all", "takes_all", is_flag=True, help="Dropped conversations too.")
@click.option("--concurrency", type=click.IntRange(1, 100_000), metavar="N", help="Conversations in flight.")
@budget_options
@click.option("--retry-failed", is_flag=True, help="Take up again what failed or stayed incomplete.")
@click.option("--dry-run", is_flag=True, help="Count the calls; send nothing.")
@click.option(
    "--import", "import_file", type=click.Path(path_type=Path), metavar="FILE",
    help="Keep what people said: CSV or JSON Lines.",
)  # fmt: skip
@click.option(
    "--export", "export_file", type=click.Path(path_type=Path), metavar="FILE",
    help="Write all annotations: CSV or JSON Lines.",
)  # fmt: skip
@click.option(
    "--author", metavar="NAME", help="Import: who, where the file does not say. Export: only whose."
)
@disk_option
@new_runs_dir_option
@json_option
def annotate_command(
    run_name: str,
    names: str | None,
    judges: tuple[str, ...],
    config_file: Path | None,
    limit: int | None,
    takes_all: bool,
    concurrency: int | None,
    max_cost: float | None,
    max_tokens: int | None,
    retry_failed: bool,
    dry_run: bool,
    import_file: Path | None,
    export_file: Path | None,
    author: str | None,
    guards_disk: bool,
    runs_dir: Path,
    as_json: bool,
) -> int:
    """Let judges annotate RUN's conversations, held or imported; the same command goes on after a stop.

    What was annotated stays, each annotation with its judge, model and prompt version. Without an endpoint in
    the configuration the engine's own judge answers, offline, and is wrong at a set rate.
    """
    if sum((names is not None, import_file is not None, export_file is not None)) != 1:
        raise UsageError("give one of --with NAME,..., --import FILE, --export FILE.")
    config, config_dir = (
        (None, None) if config_file is None else (load_config(config_file), config_file.parent)
    )
    folder = existing_folder(runs_dir if config is None else runs_of(config, runs_dir), run_name)
    if import_file is not None:
        return _import(folder, import_file, author, as_json=as_json)
    if export_file is not None:
        return _export(folder, export_file, author, as_json=as_json)
    if config is None:
        config, config_dir = _run_config(folder)
    if concurrency is not None:
        config = config.model_copy(update={"concurrency": concurrency})
    config = with_budget(config, folder, max_cost, max_tokens)
    chosen = [_judge(name, config, config_file) for name in dict.fromkeys(judges)]
    work = plan_work(_names(names or ""), chosen, config, config_dir)
    if dry_run:
        expected = [estimate(folder.path, each, only_kept=not takes_all, limit=limit) for each in work]
        _print_estimates(work, expected, as_json=as_json)
        return 0
    stages = stages_of(folder.path, work, config, config_dir, only_kept=not takes_all, limit=limit)
    size = open_dataset(folder.path).size or 0
    progress = RunProgress(planned=min(limit or size, size) * len(work), noun="items")
    try:
        result = anyio.run(
            _work, folder, config, work, stages, progress, retry_failed, guards_disk, as_json,
            backend_options=loop_options(),
        )  # fmt: skip
    except BaseException as error:
        if isinstance(changed := find_engine_error(error), IdentityChanged):
            raise _other_judge(changed) from error
        raise
    _report(folder, work, result, as_json=as_json)
    if isinstance(result.stopped_by, EngineError):
        raise result.stopped_by
    if result.stopped_by is not None:
        return 128 + result.stopped_by
    return DONE_WITH_FAILURES if _left(folder, stages) else 0


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["all"]:
        return list(ANNOTATORS)
    unknown = [name for name in names if name not in ANNOTATORS]
    if unknown or not names:
        known = ", ".join(ANNOTATORS)
        raise UsageError(
            f"--with: {f'there is no annotator {unknown[0]!r}' if unknown else 'name at least one'}; known "
            f"are {known}, or all."
        )
    return names


def _run_config(folder: RunFolder) -> tuple[RunConfig, Path | None]:
    """What the run was made with; an imported run was made with nothing."""
    with closing(Reader(folder.journal)) as reader:
        is_imported = read_import_facts(reader) is not None
    return (RunConfig(), None) if is_imported else folder.read_settings()


def _judge(name: str, config: RunConfig, file: Path | None) -> Judge:
    presets = {} if file is None else load_presets(file)
    settings = presets.get(name) or next((s for stage, s in config.stages.items() if stage == name), None)
    if settings is None:
        if not config.is_rehearsal:
            known = ", ".join([*presets, *config.stages])
            raise UsageError(f"--judge: there is no preset or stage {name!r} in the configuration: {known}.")
        settings = own_judge(config, f"rehearsal-{judge_name(name)}")
    return Judge(judge_name(name), settings)


async def _work(
    folder: RunFolder,
    config: RunConfig,
    work: Sequence[Work],
    stages: Sequence[Stage],
    progress: RunProgress,
    retry_failed: bool,
    guards_disk: bool,
    is_quiet: bool,
) -> StagesResult:
    # The embedded endpoint answers under each name that a stage uses.
    served = config.model_copy(
        update={"stages": {**config.stages, **{each.annotator.role: each.judge.settings for each in work}}}
    )
    async with at_work(folder, served, progress, is_quiet=is_quiet) as here:
        return await work_on_stages(
            folder.path, config, here.endpoints, stages, clock=SystemClock(), progress=progress, log=here.log,
            retry_failed=retry_failed, guards_disk=guards_disk,
        )  # fmt: skip


def _other_judge(error: IdentityChanged) -> IdentityChanged:
    return IdentityChanged(
        f"{error}\nWhat a judge has begun goes on as it began. For another model or prompt name another "
        "judge: a preset with --judge.",
        error.differences,
    )


def _described(expected: Estimate) -> str:
    text = f"{expected.conversations} conversations"
    if expected.done:
        text += f", {expected.done} of them done"
    text += f"; {expected.calls} calls, about {expected.prompt_tokens} tokens in at most"
    return text + (f"; {expected.cut} are cut to the context" if expected.cut else "")


def _print_estimates(work: Sequence[Work], estimates: Sequence[Estimate], *, as_json: bool) -> None:
    if as_json:
        facts = {
            each.stage: {
                "model": each.judge.settings.model, "prompt": each.prompts.version,
                "conversations": expected.conversations, "done": expected.done, "calls": expected.calls,
                "prompt_tokens_at_most": expected.prompt_tokens, "cut": expected.cut,
            }
            for each, expected in zip(work, estimates, strict=True)
        }  # fmt: skip
        click.echo(json.dumps(facts))
        return
    for each, expected in zip(work, estimates, strict=True):
        click.echo(f"{each.stage} (prompt {each.prompts.version}): {_described(expected)}")
    click.echo("nothing was sent; replies that cannot be used are asked for again, up to twice")


@dataclass(frozen=True, slots=True)
class _StageFacts:
    """What the journal holds of one annotator's work by one judge, whenever it was done."""

    model: str
    prompt: str
    ended: dict[str, int]
    calls: int
    prompt_tokens: int
    completion_tokens: int


def _facts(reader: Reader, work: Sequence[Work]) -> dict[str, _StageFacts]:
    facts = {}
    for each in work:
        totals = reader.totals(each.stage)
        facts[each.stage] = _StageFacts(
            each.judge.settings.model, each.prompts.version, reader.counts_by_result(each.stage),
            totals.replies, totals.prompt_tokens, totals.completion_tokens,
        )  # fmt: skip
    return facts


def _mergings(reader: Reader, work: Sequence[Work]) -> dict[str, dict[str, dict[str, object]]]:
    """Judge to task to how its phrases were merged last."""
    return {
        each.judge.name: {
            str(note.get("task", "")): {key: note[key] for key in ("phrases", "left", "invented", "doubled")}
            for note in merging_notes(reader, each.judge.name)
        }
        for each in work
        if each.annotator.name == "preferences"
    }


def _report(folder: RunFolder, work: Sequence[Work], result: StagesResult, *, as_json: bool) -> None:
    with closing(Reader(folder.journal)) as reader:
        facts, mergings = _facts(reader, work), _mergings(reader, work)
        cost = update_cost(reader, folder.summary)
    measured = _measured(folder, work)
    if as_json:
        document = {
            "run": folder.name,
            "stages": {name: asdict(found) for name, found in facts.items()},
            "synonyms": mergings,
            "measures": measured,
            "now": {
                stage.name: {"already_done": stage.already_done, "ended": stage.ended}
                for stage in result.stages
            },
            "stopped_by": None if result.stopped_by is None else str(result.stopped_by),
            "duration_s": round(result.duration_s, 3),
            "cost": cost,
        }
        click.echo(json.dumps(document))
        return
    _print_table(facts)
    for judge, tasks in mergings.items():
        for task, note in tasks.items():
            counts = f"{note['phrases']} phrases, {note['left']} after merging"
            click.echo(plain(f"synonyms by {judge}, {task or 'no task'}: {counts}"))
    for judge, measures in measured.items():
        for name, value in measures.items():
            click.echo(plain(f"{name} by {judge}: {json.dumps(value)}"))
    if text := describe_cost({"cost": cost}):
        click.echo(f"the run has cost {text}")
    new = sum(sum(stage.ended.values()) for stage in result.stages)
    if result.stopped_by is None:
        click.echo(f"{new} items annotated now, in {describe_duration(result.duration_s)}")
    else:
        click.echo(f"stopped after {new} items; the same command goes on")
    click.echo(f"next: engine annotate {run_address(folder.path)} --export FILE.csv")


def _measured(folder: RunFolder, work: Sequence[Work]) -> dict[str, dict[str, object]]:
    """Judge to what its annotations come to, where they are of a kind that comes to something."""
    judges = {(each.judge.name, each.judge.author) for each in work if each.annotator.name in _MEASURED}
    found = {}
    for name, author in sorted(judges):
        measures = Measures(author)
        with closing(RunAnnotations(folder.path, author)) as stored:
            for conversation in open_dataset(folder.path, annotate=stored):
                measures.add(conversation)
        found[name] = measures.as_dict()
    return found


def _print_table(facts: Mapping[str, _StageFacts]) -> None:
    rows = [
        (name, found.prompt, *(str(found.ended.get(word, 0)) for word in (DONE, INCOMPLETE, FAILED)),
         str(found.calls), str(found.prompt_tokens), str(found.completion_tokens))
        for name, found in facts.items()
    ]  # fmt: skip
    columns = ("annotator@judge", "prompt", "done", "incomplete", "failed", "calls", "tokens in", "out")
    print_table(table_console(), columns, rows)


def _left(folder: RunFolder, stages: Sequence[Stage]) -> bool:
    """Whether anything that was begun brought less than it should."""
    with closing(Reader(folder.journal)) as reader:
        return any(set(reader.counts_by_result(stage.name)) - {DONE} for stage in stages)


def _import(folder: RunFolder, file: Path, author: str | None, *, as_json: bool) -> int:
    rows = read_annotation_file(file, author)
    check_targets(file, rows, open_dataset(folder.path))
    count = put_people(folder.path, (annotation for _, annotation in rows), said_at=SystemClock().wall())
    authors = Counter(annotation.author for _, annotation in rows)
    if as_json:
        click.echo(json.dumps({"run": folder.name, "imported": count, "authors": dict(authors)}))
    else:
        by = ", ".join(f"{name} {n}" for name, n in authors.items())
        click.echo(f"{count} annotations imported into run {folder.name} ({by})")
    return 0


def _export(folder: RunFolder, file: Path, author: str | None, *, as_json: bool) -> int:
    with closing(RunAnnotations(folder.path)) as stored, replacing(file) as raw:
        found = (
            annotation
            for conversation in open_dataset(folder.path, annotate=stored)
            for annotation in (
                *conversation.annotations,
                *(a for turn in conversation.turns for a in turn.annotations),
            )
            if author in (None, annotation.author)
        )
        reopened = os.fdopen(os.dup(raw.fileno()), "w", encoding="utf-8", newline="")
        try:
            with reopened:
                count = write_annotation_file(file, reopened, found)
        except OSError as error:
            raise CannotWrite(f"{file}: cannot be written ({error.strerror}).") from error
    if as_json:
        click.echo(json.dumps({"run": folder.name, "exported": count, "file": str(file)}))
    else:
        click.echo(f"{count} annotations written to {file}")
    return 0
