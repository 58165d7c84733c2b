"""Generates a pool into a file, on the command line's event loop, with its progress shown."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import click

from engine.cli.at_work import at_work
from engine.cli.profiles_plan import prompt_provenance
from engine.cli.serving import loop_options
from engine.clock import SystemClock
from engine.config.settings import RunConfig
from engine.dataset.build import replacing
from engine.errors import BadInput, EngineError
from engine.profiles.acceptance import Acceptance, Likeness
from engine.profiles.generate import Generated, generate
from engine.profiles.pool_file import write_profile
from engine.profiles.regions import Target
from engine.profiles.session import SessionPlan
from engine.profiles.similarity import NEAR
from engine.runner.progress import RunProgress
from engine.runner.run_folder import RunFolder


class Interrupted(Exception):
    """A signal stopped the work: the pool's file stays as it was."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def generate_pool(
    folder: RunFolder,
    path: Path,
    plan: SessionPlan,
    config: RunConfig,
    count: int,
    progress: RunProgress,
    *,
    retry_failed: bool = False,
    guards_disk: bool = True,
    is_quiet: bool = False,
    near: float = NEAR,
    target: Target | None = None,
    similar: Likeness | None = None,
) -> tuple[Acceptance, Generated]:
    """Write `count` profiles to `path`, whole or not at all.

    Raises the error that stopped the work, Interrupted for a signal, BadInput where nothing could be read.
    """
    folder.make()
    with replacing(path) as file:
        acceptance = Acceptance(
            count, partial(write_profile, file), asked_per_session=plan.size,
            provenance=prompt_provenance(plan), near=near, target=target, similar=similar,
            examples=plan.prompts.version.examples,
        )  # fmt: skip
        result = anyio.run(
            _work, folder, plan, acceptance, config, progress, retry_failed, guards_disk, is_quiet,
            backend_options=loop_options(),
        )  # fmt: skip
        if result.stopped_by is not None:
            accepted = acceptance.counts.accepted
            click.echo(f"stopped with {accepted} of {count} profiles; the same command goes on", err=True)
            stop = result.stopped_by
            raise stop if isinstance(stop, EngineError) else Interrupted(stop)
        if not acceptance.counts.accepted:
            raise BadInput(_no_profile(acceptance))
    return acceptance, result


async def _work(
    folder: RunFolder,
    plan: SessionPlan,
    acceptance: Acceptance,
    config: RunConfig,
    progress: RunProgress,
    retry_failed: bool,
    guards_disk: bool,
    is_quiet: bool,
) -> Generated:
    async with at_work(folder, config, progress, is_quiet=is_quiet) as here:
        return await generate(
            folder.path, plan, acceptance, config, here.endpoints, clock=SystemClock(), progress=progress,
            log=here.log, retry_failed=retry_failed, guards_disk=guards_disk,
        )  # fmt: skip


def _no_profile(acceptance: Acceptance) -> str:
    reasons = ", ".join(f"{reason} {count}" for reason, count in acceptance.counts.unread.most_common())
    return (
        f"no profile could be read from {acceptance.counts.replies} replies"
        + (f" ({reasons})" if reasons else "")
        + ". Look at one of them in the run's journal, and change the model or templates/_profiles/prompts."
    )
