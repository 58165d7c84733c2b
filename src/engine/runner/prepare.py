"""Turns a configuration into what a run is made from: templates, profiles and the plan, all checked."""

from __future__ import annotations

from pathlib import Path

from engine.config.matrix import cell_names
from engine.config.settings import RunConfig
from engine.errors import BadInput
from engine.journal.inputs import RunInputs
from engine.runner.assistant_texts import load_assistant_texts
from engine.runner.job_file import load_jobs
from engine.scenarios.catalog import Catalog
from engine.scenarios.places import find_folder
from engine.scenarios.profile_pool import load_profiles
from engine.schema.plan import Plan


def prepare(config: RunConfig, *, config_dir: Path | None = None) -> RunInputs:
    """Read templates, profiles and jobs. Raises BadInput for whatever is wrong with them."""
    explicit = None if config.jobs is None else load_jobs(config.jobs)
    tasks = config.tasks
    if explicit is not None:
        tasks = tuple(sorted({job.task for job in explicit}))
    templates = config.templates or find_folder("templates", config_dir)
    behaves = explicit is not None and any(job.behaviour for job in explicit)
    catalog = Catalog.load(templates, config.language, tasks, with_behaviour=behaves)
    pool = config.profiles or find_folder("profiles", config_dir) / f"pool.{config.language}.jsonl"
    profiles = {profile.profile_id: profile for profile in load_profiles(pool)}
    plan = Plan(
        tuple(profiles),
        tuple((scenario.task, scenario.number) for scenario in catalog.scenarios()),
        config.repeat,
        config.limit,
        explicit,
        cell_names(config),
    )
    texts = load_assistant_texts(templates, config)
    inputs = RunInputs(config, catalog, profiles, plan, texts)
    if explicit is not None:
        for job in plan.jobs():
            inputs.profile(job)
            inputs.scenario(job)
            if job.behaviour:
                catalog.levels_of(job.behaviour)
    if len(plan) == 0:
        raise BadInput("the plan holds no job: there are no profiles or no scenarios to combine.")
    return inputs
