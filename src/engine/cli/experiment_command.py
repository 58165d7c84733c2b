"""`engine experiment intents`: the paper's Table 4 on any dataset whose user turns have intents."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from engine.cli.dataset_argument import dataset_argument, find_dataset
from engine.cli.shared_options import json_option, runs_dir_option
from engine.dataset.source import open_dataset
from engine.experiments.baseline import Baseline
from engine.experiments.cells import CellFolder, CellRunner
from engine.experiments.experiment import Plan, Result, default_seeds, run_experiment
from engine.experiments.plot import is_plotting_possible, plot_rows
from engine.experiments.report import table3_lines, table4_lines, write_report
from engine.experiments.samples import IntentData, collect_samples
from engine.experiments.splits import SplitKind
from engine.experiments.traditional import MODELS, TraditionalModel, require_sklearn

_NAMES = [*MODELS, "Baseline"]
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
@click.option("--author", metavar="NAME", help="Whose intents, e.g. dataset or judge:NAME; default: any.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Default: experiments/intents in the run, or intents-<digest of the data> here.",
)
@runs_dir_option
@json_option
def intents(
    dataset_name: str,
    names: tuple[str, ...],
    kinds: tuple[str, ...],
    split_file: Path | None,
    seeds: int,
    author: str | None,
    out: Path | None,
    runs_dir: Path,
    as_json: bool,
) -> int:
    """Train and test intent models on RUN_OR_FILE, and write Table 4 beside the paper's figures.

    What was computed before is taken from the output folder: the same command goes on after a stop.
    """
    require_sklearn()
    dataset = open_dataset(find_dataset(runs_dir, dataset_name))
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
    plan = Plan(
        runners=chosen,
        kinds=[SplitKind(kind) for kind in kinds or (() if split_file else ("utterance",))],
        seeds=default_seeds(seeds),
        split_file=split_file,
    )
    command = shlex.join(_command(dataset_name, names, kinds, split_file, seeds, author, out))
    if not as_json:
        click.echo(_opening(data, folder))
    result = run_experiment(
        data, plan, CellFolder(folder / "cells"), command=command, say=_silent if as_json else click.echo
    )
    written = write_report(result, folder, command)
    if is_plotting_possible():
        written += [plot_rows(split.rows, folder) for split in result.splits]
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
        click.echo("\n".join(table4_lines(split.rows)))
        click.echo()
        for claim in split.claims:
            click.echo(f"{claim.verdict:<10} {claim.claim}")
    if not is_plotting_possible():
        click.echo("\nno plot: matplotlib is not installed (pip install matplotlib)")
    click.echo(f"\n{result.made} cells computed, {result.found} found; " + ", ".join(map(str, written)))


def _command(
    source: str,
    names: tuple[str, ...],
    kinds: tuple[str, ...],
    split_file: Path | None,
    seeds: int,
    author: str | None,
    out: Path | None,
) -> list[str]:
    """The command as it can be typed again."""
    words = ["engine", "experiment", "intents", source, "--seeds", str(seeds)]
    for name in names:
        words += ["--model", name]
    for kind in kinds:
        words += ["--split", kind]
    for option, value in (("--split-file", split_file), ("--author", author), ("--out", out)):
        if value is not None:
            words += [option, str(value)]
    return words
