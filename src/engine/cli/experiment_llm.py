"""The LLMs of an experiment: from names and options to models, and their calls to a journal of its own.

The journal lies in the folder `llm` of the experiment's output, so that a stop costs nothing that was paid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import click

from engine.cli.at_work import at_work
from engine.cli.run_options import ModelOptions, with_options
from engine.cli.serving import loop_options
from engine.clock import SystemClock
from engine.config.load import load_config, load_presets
from engine.config.model_settings import ModelSettings
from engine.config.settings import RunConfig
from engine.errors import EngineError, UsageError
from engine.experiments.claims import REHEARSAL
from engine.experiments.llm import MODES, LlmModel
from engine.experiments.plm import Mode
from engine.runner.progress import RunProgress
from engine.runner.run_folder import RunFolder
from engine.runner.stage import Stage
from engine.runner.stages import StagesResult, work_on_stages

_FOLDER = "llm"
_LOCAL_MODEL = "SmolLM2-135M-Instruct"
# An answer is a few words; a small model that has none writes until it is cut off.
_MAX_TOKENS = 64
_LOCAL_MAX_TOKENS = 24


@dataclass(frozen=True, slots=True)
class LlmOptions:
    """What the command line says of LLMs and of where they are."""

    names: tuple[str, ...]
    config_file: Path | None
    models: ModelOptions
    concurrency: int | None
    modes: Sequence[Mode]
    prompts: Path
    examples_per_label: int

    @property
    def is_local(self) -> bool:
        return self.models.local or self.models.local_model is not None


def llm_models(options: LlmOptions, out: Path, *, is_quiet: bool) -> list[LlmModel]:
    """The models in their modes. Raises UsageError or ConfigError for what cannot be."""
    names = options.names
    if options.is_local and len(names) > 1:
        raise UsageError("--local serves one model: give --llm once, or not at all.")
    if not names and not options.is_local:
        if options.models.base_url is not None:
            raise UsageError("--base-url: no model is named that is asked there: give --llm MODEL.")
        return []
    modes = [mode for mode in options.modes if mode in MODES]
    if not modes:
        raise UsageError(f"LLMs are used {' or '.join(map(str, MODES))}: give one of these as --mode.")
    config = _config(options)
    if not names:
        local = config.local.model if config.local is not None else None
        names = (_LOCAL_MODEL if local is None else local.stem,)
    presets = {} if options.config_file is None else load_presets(options.config_file)
    ask = _asking(RunFolder(out / _FOLDER), config, is_quiet=is_quiet)
    return [
        LlmModel(
            name, settings, mode, ask(settings), options.prompts, options.examples_per_label, config.seed
        )
        for name, settings in ((name, _settings(name, config, presets)) for name in dict.fromkeys(names))
        for mode in modes
    ]


def _config(options: LlmOptions) -> RunConfig:
    config = RunConfig() if options.config_file is None else load_config(options.config_file)
    models = options.models
    if options.is_local or models.base_url is not None or models.key_env is not None:
        # Rules about keys, addresses and local models are those of a run; its two models play no part here.
        name = options.names[0] if options.names else None
        as_both = ModelOptions(models.base_url, name, name, models.key_env, models.local, models.local_model)
        config = with_options(config, {}, as_both)
    if options.concurrency is not None:
        config = config.model_copy(update={"concurrency": options.concurrency})
    return config


def _settings(name: str, config: RunConfig, presets: Mapping[str, ModelSettings]) -> ModelSettings:
    if config.is_rehearsal and name != REHEARSAL:
        raise UsageError(
            f"--llm {name}: no endpoint is named that has this model: give --base-url URL or --config FILE, "
            f"or --local for the small local model. --llm {REHEARSAL} practises with canned answers."
        )
    found = presets.get(name) or next((s for stage, s in config.stages.items() if stage == name), None)
    if found is not None:
        return found
    if config.local is not None:
        # Its server holds a reply to the schema; asked in words alone, it never answered in JSON.
        return ModelSettings(
            model=name,
            temperature=0.0,
            max_tokens=_LOCAL_MAX_TOKENS,
            structured="json_schema",
            context_tokens=config.local.context_tokens,
        )
    if len(config.endpoints) > 1:
        known = ", ".join([*presets, *config.stages]) or "none"
        raise UsageError(
            f"--llm {name}: the configuration names several endpoints and no preset {name!r} that says which "
            f"one has this model (presets and stages: {known}). Add `presets: {{{name}: {{endpoint: ..., "
            "model: ...}}}}`."
        )
    endpoint = next(iter(config.endpoints), "default")
    return ModelSettings(endpoint=endpoint, model=name, temperature=0.0, max_tokens=_MAX_TOKENS)


def _asking(
    folder: RunFolder, config: RunConfig, *, is_quiet: bool
) -> Callable[[ModelSettings], Callable[[Stage], Path]]:
    def of_model(settings: ModelSettings) -> Callable[[Stage], Path]:
        # The embedded endpoints answer under each name that a stage uses.
        served = config.model_copy(update={"stages": {"intent": settings}})

        def ask(stage: Stage) -> Path:
            folder.make()
            progress = RunProgress(planned=sum(1 for _ in stage.items()), noun=stage.noun)
            result = anyio.run(
                _work, folder, served, stage, progress, is_quiet, backend_options=loop_options()
            )
            if isinstance(result.stopped_by, EngineError):
                raise result.stopped_by
            if result.stopped_by is not None:
                click.echo(f"stopped after {progress.done} {stage.noun}; the same command goes on", err=True)
                raise SystemExit(128 + result.stopped_by)
            return folder.journal

        return ask

    return of_model


async def _work(
    folder: RunFolder, config: RunConfig, stage: Stage, progress: RunProgress, is_quiet: bool
) -> StagesResult:
    name = stage.name.removeprefix("intents@").rpartition("/")[0]
    async with at_work(folder, config, progress, is_quiet=is_quiet, title=name) as here:
        # What failed in an earlier process is asked again: without it there is no cell.
        return await work_on_stages(
            folder.path, config, here.endpoints, [stage],
            clock=SystemClock(), progress=progress, log=here.log, retry_failed=True,
        )  # fmt: skip
