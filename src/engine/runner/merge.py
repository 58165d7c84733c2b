"""Makes one run out of several that were made with the same content, such as parts from several machines."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from engine.config.identity import compare, identity_fields, refuse
from engine.config.settings import RunConfig
from engine.errors import BadInput, CannotWrite, RunLocked, UsageError
from engine.journal.inputs import differences_from, encode_plan, read_inputs
from engine.journal.journal import JOURNAL_NAME
from engine.journal.merge import merge_journals
from engine.journal.reader import Reader
from engine.runner.run_folder import RunFolder
from engine.runner.spending import merged_accounts
from engine.schema.conversation import STAGE
from engine.schema.job import Job
from engine.schema.plan import Plan

_Name = TypeVar("_Name")


def merge_runs(new: RunFolder, folders: Sequence[RunFolder]) -> int:
    """Make the run `new` from all conversations of `folders`; how many stood in more than one of them.

    Raises IdentityChanged where they differ in what decides content, RunLocked where one is being worked on,
    and BadInput, naming the conversation, where two hold different replies. Then nothing is left behind.
    """
    if len({folder.path.resolve() for folder in folders}) < 2:
        raise UsageError("merge at least two different runs.")
    if new.path.exists():
        raise UsageError(f"there is a run {new.name} already; choose another name for the merged one.")
    for folder in folders:
        if folder.is_held():
            raise RunLocked(f"run {folder.name} is being worked on; merge it when that has ended.")
    with ExitStack() as stack:
        # By path where names repeat: default names come from the content, so parts made elsewhere share them.
        names = Counter(folder.name for folder in folders)
        readers = {
            folder.name if names[folder.name] == 1 else str(folder.path): stack.enter_context(
                closing(Reader(folder.journal))
            )
            for folder in folders
        }
        inputs = {name: read_inputs(reader) for name, reader in readers.items()}
        for name, reader in readers.items():
            for other, its_inputs in inputs.items():
                if other != name and (differences := differences_from(reader, its_inputs)):
                    raise refuse(name, differences)
        stages = merge_stages(readers)
        plan = merge_plans([its.plan for its in inputs.values()])
        config = _merge_configs([its.config for its in inputs.values()])
        _, config_dir = folders[0].read_settings()
        made = RunFolder(temporary_folder(new.path.parent, ".merging-"))
        try:
            # Under another name until it is whole: what a crash leaves behind is no run.
            unfinished = made.path / f"merging-{JOURNAL_NAME}"
            shared = merge_journals(
                unfinished,
                readers,
                meta={
                    "config": config.model_dump_json(),
                    "plan": encode_plan(plan),
                    **merged_accounts(readers.values()),
                },
                identity={**stages, STAGE: identity_fields(config)},
            )
            made.write_settings(config, identity_fields(config), config_dir)
            unfinished.rename(made.journal)
            made.path.rename(new.path)
        except OSError as error:
            raise CannotWrite(f"{new.path}: cannot be written ({error.strerror}).") from error
        finally:
            shutil.rmtree(made.path, ignore_errors=True)
    return shared


def merge_stages(readers: Mapping[str, Reader]) -> dict[str, dict[str, str]]:
    """The identities of the stages beside the conversation, by stage: a judge's work goes on as it began.

    Raises IdentityChanged where two runs did a stage with other content.
    """
    stages: dict[str, dict[str, str]] = {}
    for name, reader in readers.items():
        for stage in reader.stages():
            if stage == STAGE or not (fields := reader.identity(stage)):
                continue
            if differences := compare(fields, stages.setdefault(stage, fields), kind=f"{stage}: "):
                raise refuse(name, differences)
    return stages


def merge_plans(plans: Sequence[Plan]) -> Plan:
    """All jobs of all plans, in plan order: repeat, then profile, then scenario.

    Plans that differ in their limit alone give the longest of them. Raises BadInput for a job
    with two openers.
    """
    longest = max(plans, key=len)
    if all(replace(plan, limit=None) == replace(longest, limit=None) for plan in plans):
        return longest
    jobs: dict[str, Job] = {}
    for plan in plans:
        for job in plan.jobs():
            if jobs.setdefault(job.job_id, job).opener != job.opener:
                raise BadInput(f"{job.job_id}: two of the runs let another side open this conversation.")
    profiles = _ranks([name for plan in plans for name in plan.profile_ids_used()])
    scenarios = _ranks([scenario for plan in plans for scenario in plan.scenarios_used()])
    return Plan(
        explicit=tuple(
            sorted(
                jobs.values(),
                key=lambda job: (
                    job.repeat, profiles[job.profile_id], scenarios[job.task, job.scenario_number],
                ),
            )
        )
    )  # fmt: skip


def _ranks(names: Sequence[_Name]) -> dict[_Name, int]:
    return {name: rank for rank, name in enumerate(dict.fromkeys(names))}


def _merge_configs(configs: Sequence[RunConfig]) -> RunConfig:
    """The first one, with the plan's keys wide enough for all: a resume goes by the stored plan."""
    tasks: set[str] | None = set()
    for config in configs:
        tasks = None if tasks is None or config.tasks is None else tasks | set(config.tasks)
    return configs[0].model_copy(
        update={
            "tasks": None if tasks is None else tuple(sorted(tasks)),
            "limit": None,
            "jobs": None,
            "repeat": max(config.repeat for config in configs),
        }
    )


def temporary_folder(parent: Path, prefix: str) -> Path:
    """A new, private folder below `parent`, which is made where it is missing."""
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    except OSError as error:
        raise CannotWrite(f"{parent}: cannot be written ({error.strerror}).") from error
