"""`engine profiles derive`: a profile of each person behind reviews or purchases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import anyio
import click

from engine.cli.at_work import at_work
from engine.cli.profiles_plan import PlanOptions, config_of, plan_options, plan_sessions, prompt_provenance
from engine.cli.serving import loop_options
from engine.cli.shared_options import disk_option, json_option, new_runs_dir_option, runs_of
from engine.clock import SystemClock
from engine.config.run_name import is_run_name
from engine.config.settings import RunConfig
from engine.dataset.build import replacing
from engine.errors import BadInput, EngineError, UsageError
from engine.journal.reader import Reader
from engine.profiles.derive import STAGE_NAME, derive_stage, derived_profiles, read_sources
from engine.profiles.pool_file import write_profile
from engine.runner.progress import RunProgress
from engine.runner.run_folder import RunFolder, default_name
from engine.runner.stage import DONE, Stage, identity_of
from engine.runner.stages import StagesResult, work_on_stages

DONE_WITH_FAILURES = 3


@click.command("derive")
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="Pool to write.")
@click.option("--person", metavar="FIELD", help="Field that says whose review or purchase a line is.")
@click.option("--text", "texts", multiple=True, metavar="FIELD", help="Field to show; may be repeated.")
@plan_options
@click.option("--retry-failed", is_flag=True, help="Take up again people without a usable profile.")
@disk_option
@new_runs_dir_option
@json_option
def derive_command(
    source: Path,
    out: Path,
    person: str | None,
    texts: tuple[str, ...],
    retry_failed: bool,
    guards_disk: bool,
    runs_dir: Path,
    as_json: bool,
    **options: object,
) -> int:
    """Write a profile of each person in FILE, a JSONL of reviews or purchases.

    Each profile names the lines that it was made from; the same command goes on after a stop.
    """
    chosen = PlanOptions(**options)  # type: ignore[arg-type]
    sources = read_sources(source, person, texts)
    config, config_dir = config_of(chosen)
    plan = plan_sessions(chosen, config, config_dir)
    stage = derive_stage(plan.prompts, plan.settings, sources)
    name = chosen.run_name or default_name("derived", identity_of(stage, config.seed))
    if not is_run_name(name):
        raise UsageError(f"--run: {name!r} is no name of a run.")
    folder = RunFolder(runs_of(config, runs_dir) / "profiles" / name)
    folder.make()
    progress = RunProgress(planned=len(sources), noun="people")
    result = anyio.run(
        _work, folder, config, [stage], progress, retry_failed, guards_disk, as_json,
        backend_options=loop_options(),
    )  # fmt: skip
    if isinstance(result.stopped_by, EngineError):
        raise result.stopped_by
    if result.stopped_by is not None:
        return 128 + result.stopped_by
    provenance = {**prompt_provenance(plan), "source": source.name}
    with closing(Reader(folder.journal)) as reader:
        ended = reader.counts_by_result(STAGE_NAME)
        if not ended.get(DONE):
            raise BadInput(f"{source}: no usable profile came of {len(sources)} people. See {folder.path}.")
        with replacing(out) as file:
            for profile in derived_profiles(reader, plan.prompts, sources, provenance):
                write_profile(file, profile)
    done = ended.get(DONE, 0)
    if as_json:
        click.echo(json.dumps({"run": folder.name, "pool": str(out), "people": len(sources), "ended": ended}))
    else:
        click.echo(f"{done} of {len(sources)} people have a profile in {out}")
        if done < len(sources):
            click.echo("the others brought no usable reply; --retry-failed asks again")
    return 0 if done == len(sources) else DONE_WITH_FAILURES


async def _work(
    folder: RunFolder,
    config: RunConfig,
    stages: Sequence[Stage],
    progress: RunProgress,
    retry_failed: bool,
    guards_disk: bool,
    is_quiet: bool,
) -> StagesResult:
    async with at_work(folder, config, progress, is_quiet=is_quiet) as here:
        return await work_on_stages(
            folder.path, config, here.endpoints, stages, clock=SystemClock(), progress=progress, log=here.log,
            retry_failed=retry_failed, guards_disk=guards_disk,
        )  # fmt: skip
