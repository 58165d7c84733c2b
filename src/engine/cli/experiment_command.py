"""`engine experiment intents`: the paper's Table 4 on any dataset whose user turns have intents."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from engine.cli.annotated import annotated_dataset
from engine.cli.dataset_argument import dataset_argument
from engine.cli.experiment_llm import LlmOptions, llm_models
from engine.cli.run_options import ModelOptions
from engine.cli.shared_options import json_option, new_runs_dir_option, runs_of
from engine.config.load import load_config
from engine.experiments.baseline import Baseline
from engine.experiments.cells import CellFolder, CellRunner
from engine.experiments.experiment import Plan, Result, default_seeds, run_experiment
from engine.experiments.plm import PAPER_MODELS, Mode, PlmModel, named_sources, paper_source, require_plm
from engine.experiments.plm_prompt import PROMPTS
from engine.experiments.plot import is_plotting_possible, plot_rows
from engine.experiments.report import answer_lines, table3_lines, table4_lines, write_report
from engine.experiments.samples import IntentData, collect_samples
from engine.experiments.splits import SplitKind
from engine.experiments.traditional import MODELS, TraditionalModel, require_sklearn

_NAMES = [*MODELS, "Baseline"]
_NOT_TYPED = (click.core.ParameterSource.DEFAULT, click.core.ParameterSource.DEFAULT_MAP)
_KINDS = [str(kind) for kind in SplitKind if kind is not SplitKind.FILE]


@click.group()
def experiment() -> None:
    """Repeat the paper's experiments on generated or imported data."""


@experiment.command()
@dataset_argument
@click.option("--model", "names", multiple=True, type=click.Choice(_NAMES), help="These alone; default: all.")
@click.option(
    "--split",
    "kinds",
    multiple=True,
    type=click.Choice(_KINDS),
    help="What a split keeps together; default: utterance, the paper's, unless --split-file is given.",
)
@click.option(
    "--split-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help='The parts themselves: JSON, {"split": {id: letters t, v, e by user turn}}.',
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1, max=100),
    default=5,
    show_default=True,
    metavar="N",
    help="How many: 42 as in the paper, then 0, 1, 2, ...",
)
@click.option(
    "--plm", "plms", multiple=True, metavar="NAME_OR_FOLDER", help="A pretrained language model too."
)
@click.option("--paper-models", is_flag=True, help="The paper's ten pretrained models too.")
@click.option(
    "--models-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where --paper-models finds weights, each in a folder of its published name's last part.",
)
@click.option(
    "--mode",
    "modes",
    multiple=True,
    type=click.Choice([str(mode) for mode in Mode]),
    help="How pretrained language models and LLMs are used; default: each way that they can be.",
)
@click.option(
    "--llm",
    "llms",
    multiple=True,
    metavar="PRESET_OR_MODEL",
    help="An LLM too: a preset or stage of --config, or a model's name at its endpoint.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Endpoints, presets and prices for --llm; its output.runs says where runs lie.",
)
@click.option("--base-url", metavar="URL", help="Where --llm is asked, if not as the configuration says.")
@click.option("--key-env", metavar="NAME", help="The environment variable with the key for it.")
@click.option("--local", is_flag=True, help="The small local model as an LLM.")
@click.option(
    "--local-model", type=click.Path(path_type=Path), metavar="FILE", help="Another local model: a GGUF file."
)
@click.option("--concurrency", type=click.IntRange(1, 100_000), metavar="N", help="LLM calls in flight.")
@click.option(
    "--examples",
    type=click.IntRange(1, 50),
    default=2,
    show_default=True,
    metavar="N",
    help="Examples of each intent that an LLM is shown in few-shot.",
)
@click.option(
    "--test-limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="N utterances of each test part, drawn once, for all models alike.",
)
@click.option(
    "--prompts",
    type=click.Path(path_type=Path),
    default=PROMPTS,
    metavar="DIR",
    help="Prompt files masked.yaml, causal.yaml, seq2seq.yaml, llm.yaml; default: the engine's.",
)
@click.option("--author", metavar="NAME", help="Whose intents, e.g. dataset or judge:NAME; default: any.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Default: experiments/intents in the run, or intents-<digest of the data> here.",
)
@new_runs_dir_option
@json_option
def intents(
    dataset_name: str,
    names: tuple[str, ...],
    kinds: tuple[str, ...],
    split_file: Path | None,
    seeds: int,
    plms: tuple[str, ...],
    paper_models: bool,
    models_dir: Path | None,
    modes: tuple[str, ...],
    llms: tuple[str, ...],
    config_file: Path | None,
    base_url: str | None,
    key_env: str | None,
    local: bool,
    local_model: Path | None,
    concurrency: int | None,
    examples: int,
    test_limit: int | None,
    prompts: Path,
    author: str | None,
    out: Path | None,
    runs_dir: Path,
    as_json: bool,
) -> int:
    """Train and test intent models on RUN_OR_FILE, and write Table 4 beside the paper's figures.

    What was computed before is taken from the output folder: the same command goes on after a stop.
    """
    require_sklearn()
    if config_file is not None:
        runs_dir = runs_of(load_config(config_file), runs_dir)
    with annotated_dataset(runs_dir, dataset_name) as dataset:
        data = collect_samples(dataset, author)
    if out is None:
        folder = (
            dataset.path / "experiments" / "intents" if dataset.is_run else Path(f"intents-{data.digest[:8]}")
        )
    else:
        folder = out
    chosen: list[CellRunner] = [TraditionalModel(name) for name in MODELS if name in (names or _NAMES)]
    if "Baseline" in (names or _NAMES):
        chosen.append(Baseline())
    papers = {name: paper_source(known, models_dir) for name, known in PAPER_MODELS.items()}
    sources = named_sources(plms, papers if paper_models else {})
    uses = [Mode(mode) for mode in dict.fromkeys(modes)] or list(Mode)
    if sources:
        require_plm()
        chosen += [PlmModel(name, where, use, prompts) for name, where in sources.items() for use in uses]
    options = LlmOptions(
        names=llms,
        config_file=config_file,
        models=ModelOptions(base_url=base_url, key_env=key_env, local=local, local_model=local_model),
        concurrency=concurrency,
        modes=uses,
        prompts=prompts,
        examples_per_label=examples,
    )
    chosen += llm_models(options, folder, is_quiet=as_json)
    plan = Plan(
        runners=chosen,
        kinds=[SplitKind(kind) for kind in dict.fromkeys(kinds) or (() if split_file else ("utterance",))],
        seeds=default_seeds(seeds),
        split_file=split_file,
        most_tests=test_limit,
    )
    command = _typed()
    if not as_json:
        click.echo(_opening(data, folder))
    result = run_experiment(
        data, plan, CellFolder(folder / "cells"), command=command, say=_silent if as_json else click.echo
    )
    written = write_report(result, folder, command)
    if is_plotting_possible():
        written += [plot_rows(split.rows, folder) for split in result.splits if split.rows]
    if as_json:
        click.echo(json.dumps({"made": result.made, "found": result.found, "files": list(map(str, written))}))
    else:
        _show(result, written)
    return 0


def _opening(data: IntentData, folder: Path) -> str:
    left_out = "".join(f", {count} {reason} left out" for reason, count in sorted(data.left_out.items()))
    return f"{len(data.samples)} user utterances with one intent{left_out}; results in {folder}"


def _silent(line: str) -> None:
    pass


def _show(result: Result, written: list[Path]) -> None:
    for split in result.splits:
        click.echo(f"\nTable 3, split by {split.kind}\n")
        click.echo("\n".join(table3_lines(split)))
        click.echo("\nTable 4, accuracy / macro-F1\n")
        click.echo("\n".join(table4_lines(split.rows, split.cannot_run)))
        for line in answer_lines(split.rows):
            click.echo(f"\n{line}")
        click.echo()
        for claim in split.claims:
            click.echo(f"{claim.verdict:<10} {claim.claim}")
    if not is_plotting_possible():
        click.echo("\nno plot: matplotlib is not installed (pip install matplotlib)")
    click.echo(f"\n{result.made} cells computed, {result.found} found; " + ", ".join(map(str, written)))


def _typed() -> str:
    """The command as it was typed, for whoever wants to repeat it."""
    context = click.get_current_context()
    words = context.command_path.split()
    for parameter in context.command.params:
        if parameter.name is None or context.get_parameter_source(parameter.name) in _NOT_TYPED:
            continue
        value = context.params.get(parameter.name)
        # How the result is shown is no part of how it was made.
        if value is None or parameter.name == "as_json":
            continue
        for each in value if isinstance(value, tuple) else (value,):
            words += [] if isinstance(parameter, click.Argument) else [parameter.opts[-1]]
            words += [] if isinstance(each, bool) else [str(each)]
    return shlex.join(words)
