"""`engine run` and `engine resume`: the main job."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click

from engine.cli.at_work import at_work
from engine.cli.budget_options import budget_options, with_budget
from engine.cli.exit_codes import exit_code, find_engine_error
from engine.cli.plan_display import describe_tasks, print_plan
from engine.cli.planned_run import plan_options, planned_run
from engine.cli.readiness import check_ready, check_same_run, new_tasks
from engine.cli.run_options import ModelOptions, split_command, with_options
from engine.cli.serving import loop_options
from engine.cli.shared_options import (
    disk_option,
    json_option,
    on_end_option,
    runs_dir_option,
)
from engine.clock import SystemClock
from engine.config.settings import RunConfig
from engine.errors import BadInput, EngineError, RunLocked, UsageError
from engine.journal.inputs import RunInputs, stored_plan
from engine.journal.reader import Reader, open_if_begun
from engine.logs import SECRETS
from engine.on_use import ModuleOnUse
from engine.runner.end_hook import SessionEnd, run_end_hook
from engine.runner.fork import fork_run, matching
from engine.runner.prepare import prepare
from engine.runner.progress import RunProgress, RunResult
from engine.runner.run import work_on_run
from engine.runner.run_folder import (
    RunFolder,
    all_folders,
    existing_folder,
    open_folder,
)
from engine.schema.conversation import STAGE

if TYPE_CHECKING:
    from engine.cli import after_work
else:
    after_work = ModuleOnUse("engine.cli.after_work")

# By then the first calls are in the air.
_LOADED_AFTER_S = 2.0


@click.command()
@plan_options
@click.option("--dry-run", is_flag=True, help="Show the plan and each task's set-up; send nothing.")
@click.option(
    "--fork", metavar="NEW", help="Start the run NEW with those replies of the --run that still match."
)
@on_end_option
@disk_option
@json_option
def run(
    dry_run: bool, fork: str | None, on_end: str | None, guards_disk: bool, as_json: bool, **options: Any
) -> int:
    """Hold every conversation of the plan, or go on with it.

    The same command twice goes on with the same run. Without CONFIG and endpoint it rehearses: ten
    conversations for each scenario, with an embedded offline endpoint.
    """
    planned = planned_run(**options, on_end=split_command(on_end))
    folder, inputs = planned.folder, planned.inputs
    if fork is not None:
        folder = begin_fork(options["run_name"], folder, fork, inputs, is_dry=dry_run)
    if dry_run:
        print_plan(folder, inputs)
        # Behind the plan, which is worth seeing also where a key is still missing.
        check_same_run(folder, inputs)
        check_ready(inputs)
        folder.check_place()
        return 0
    return carry_out(folder, inputs, planned.config_dir, as_json=as_json, guards_disk=guards_disk)


def begin_fork(
    run_name: str | None, old: RunFolder, name: str, inputs: RunInputs, *, is_dry: bool
) -> RunFolder:
    """The folder of the new run, with what it takes over from the old one in its journal."""
    if run_name is None:
        raise UsageError("--fork: say with --run RUN whose replies the new run is to reuse.")
    existing_folder(old.path.parent, old.name)
    new = open_folder(old.path.parent, name)
    if is_dry:
        with closing(Reader(old.journal)) as reader:
            taken = sum(len(records) for _, records in matching(reader, inputs))
        click.echo(f"run {new.name} would take over {taken} replies of run {old.name}", err=True)
        return new
    check_ready(inputs)
    if taken := fork_run(old, new, inputs):
        click.echo(f"run {new.name} takes over {taken} replies of run {old.name}", err=True)
    return new


@click.command()
@click.argument("run_name", metavar="[RUN]", required=False)
@click.option("--concurrency", type=int, metavar="N", help="Conversations in flight.")
@click.option("--transport", metavar="T", help="asyncio or httpx.")
@click.option("--base-url", metavar="URL", help="Where the endpoint is now.")
@click.option("--key-env", metavar="NAME", help="Environment variable that holds the endpoint's key.")
@click.option("--retry-failed", is_flag=True, help="Take failed conversations up again.")
@budget_options
@on_end_option
@disk_option
@runs_dir_option
@json_option
def resume(
    run_name: str | None,
    runs_dir: Path,
    base_url: str | None,
    key_env: str | None,
    retry_failed: bool,
    max_cost: float | None,
    max_tokens: int | None,
    on_end: str | None,
    guards_disk: bool,
    as_json: bool,
    **options: object,
) -> int:
    """Go on with RUN where it stopped; by default with the latest unfinished run."""
    folder = latest_unfinished(runs_dir) if run_name is None else existing_folder(runs_dir, run_name)
    if run_name is None:
        click.echo(f"resuming {folder.name}", err=True)
    config, config_dir = folder.read_settings()
    options["on_end"] = split_command(on_end)
    config = with_options(config, options, ModelOptions(base_url, key_env=key_env))
    config = with_budget(config, folder, max_cost, max_tokens)
    inputs = prepare(config, config_dir=config_dir)
    reader = Reader(folder.journal)
    try:
        # What was planned, whatever limit the last `run` had: a resume never does less.
        inputs = replace(inputs, plan=stored_plan(reader) or inputs.plan)
        gone = sorted({task for task, _ in inputs.plan.scenarios_used()} - inputs.catalog.tasks.keys())
        if gone:
            raise BadInput(
                f"run {folder.name} was made with task {gone[0]!r}, which is not in the templates folder any "
                "more: put its folder back to go on. `engine export` and `engine show` work without it."
            )
    finally:
        reader.close()
    return carry_out(
        folder, inputs, config_dir, as_json=as_json, retry_failed=retry_failed, guards_disk=guards_disk
    )


def latest_unfinished(runs_dir: Path) -> RunFolder:
    """The run that was touched last among those with conversations, or a dataset, still to make."""
    unreadable: list[str] = []
    for folder in reversed(all_folders(runs_dir)):
        try:
            reader = Reader(folder.journal)
            try:
                plan = stored_plan(reader)
                if plan is not None and (
                    reader.ended(STAGE) < len(plan) or not folder.conversations.exists()
                ):
                    return folder
            finally:
                reader.close()
        except EngineError:
            unreadable.append(folder.name)
    broken = f" These cannot be read: {', '.join(unreadable)}; `engine runs` says why." if unreadable else ""
    raise BadInput(
        f"no run in {runs_dir} is unfinished. `engine runs` lists them; `engine run` makes one.{broken}"
    )


def carry_out(
    folder: RunFolder,
    inputs: RunInputs,
    config_dir: Path | None,
    *,
    as_json: bool = False,
    retry_failed: bool = False,
    guards_disk: bool = True,
) -> int:
    """Work on the run, build its dataset, report, tell the user's command; the exit code."""
    try:
        end, stopped_by, report = hold_and_build(
            folder, inputs, config_dir, as_json=as_json, retry_failed=retry_failed, guards_disk=guards_disk
        )
    except BaseException as error:
        # Another process's run is that one's to tell of.
        if not isinstance(find_engine_error(error), RunLocked):
            _tell(inputs.config, SessionEnd(folder.name, folder.path, "failed", exit_code(error), 0))
        raise
    _tell(inputs.config, end)
    with _closed_terminals():
        report()
    if isinstance(stopped_by, EngineError):
        raise stopped_by
    return end.exit_code


@contextmanager
def _closed_terminals() -> Iterator[None]:
    """What is said into a terminal that was closed is lost and no failure: the run was stopped in order."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nowhere, stream)


def _tell(config: RunConfig, end: SessionEnd) -> None:
    """Run the user's command, if there is one; its failure is a warning."""
    warning = None if config.on_end is None else run_end_hook(config.on_end, end, config)
    if warning is not None:
        click.echo(SECRETS.hide(f"engine: warning: {warning}"), err=True)


def hold_and_build(
    folder: RunFolder,
    inputs: RunInputs,
    config_dir: Path | None,
    *,
    as_json: bool,
    retry_failed: bool,
    guards_disk: bool,
) -> tuple[SessionEnd, EngineError | int | None, Callable[[], None]]:
    """Work on the run and build its dataset; how that ended, what stopped it, and how to report it."""
    check_ready(inputs)  # a missing key must not leave an empty run behind
    if not as_json:
        _announce(folder, inputs)
    folder.make()
    if guards_disk:
        folder.check_space(planned=len(inputs.plan), ended=_ended(folder))
    progress = RunProgress()
    result = anyio.run(
        _work, folder, inputs, config_dir, progress, retry_failed, guards_disk, as_json,
        backend_options=loop_options(),
    )  # fmt: skip
    if isinstance(result.stopped_by, EngineError) and not folder.journal.is_file():
        raise result.stopped_by  # nothing is left here to build from
    end, report = after_work.build(folder, result, is_first=progress.already_done == 0, as_json=as_json)
    return end, result.stopped_by, report


def _announce(folder: RunFolder, inputs: RunInputs) -> None:
    """Name the tasks: without `tasks` in the configuration they are whatever folders lie in the templates."""
    plan = inputs.plan
    click.echo(f"run {folder.name}: {len(plan)} conversations; tasks: {describe_tasks(plan)}", err=True)
    if inputs.config.is_rehearsal:
        click.echo("rehearsal: canned text, no model is asked; for a real one give --base-url URL", err=True)
    if new := new_tasks(folder, plan):
        click.echo(
            f"run {folder.name} was planned without task {', '.join(new)}: the plan grows by it. Name its "
            "tasks in the configuration, or with --task, to keep new ones out.",
            err=True,
        )


def _ended(folder: RunFolder) -> int:
    """How many conversations have ended before this session."""
    reader = open_if_begun(folder.journal)
    if reader is None:
        return 0
    with closing(reader):
        return reader.ended(STAGE)


async def _work(
    folder: RunFolder,
    inputs: RunInputs,
    config_dir: Path | None,
    progress: RunProgress,
    retry_failed: bool,
    guards_disk: bool,
    is_quiet: bool,
) -> RunResult:
    async with (
        at_work(folder, inputs.config, progress, is_quiet=is_quiet) as here,
        anyio.create_task_group() as group,
    ):
        group.start_soon(_load_what_follows)
        result = await work_on_run(
            folder,
            inputs,
            here.endpoints,
            clock=SystemClock(),
            progress=progress,
            log=here.log,
            config_dir=config_dir,
            retry_failed=retry_failed,
            guards_disk=guards_disk,
        )
        group.cancel_scope.cancel()
    return result


async def _load_what_follows() -> None:
    """Load the modules of the end soon after the beginning: they may be replaced during a long night."""
    await anyio.sleep(_LOADED_AFTER_S)
    with suppress(ImportError):  # it fails where they are used, when all calls are made
        await anyio.to_thread.run_sync(lambda: after_work.build)
