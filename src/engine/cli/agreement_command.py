"""`engine agreement`: how far judges and people agree, in one dataset or in several with the same ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import click
import orjson
from rich.console import Console

from engine.analysis.agreement import DRAWS, Estimate, PairAgreement, QuestionAgreement, agreement
from engine.analysis.judgements import KINDS, Judgements
from engine.analysis.libraries import require_libraries
from engine.cli.annotated import annotated_dataset
from engine.cli.plain_text import plain
from engine.cli.section_tables import print_table, table_console
from engine.cli.shared_options import json_option, runs_dir_option
from engine.dataset.build import replacing
from engine.dataset.source import Dataset
from engine.errors import BadInput

# A confusion matrix with more rows than this is for --json to hold.
_WIDEST = 12


@click.command("agreement")
@click.argument("names", metavar="RUN_OR_FILE...", nargs=-1, required=True)
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice([str(kind) for kind in KINDS]),
    help="Only this kind of annotation; may be repeated. Default: all.",
)  # fmt: skip
@click.option(
    "--draws", type=click.IntRange(0, 100_000), default=DRAWS, show_default=True, metavar="N",
    help="Resampled datasets for each interval; 0: no intervals.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the JSON there as well.")
@runs_dir_option
@json_option
def agreement_command(
    names: tuple[str, ...],
    kinds: tuple[str, ...],
    draws: int,
    out: Path | None,
    runs_dir: Path,
    as_json: bool,
) -> int:
    """Compare all who judged the same turns or conversations: judges, people, the data's own labels.

    Of several RUN_OR_FILE, annotations are joined where conversations have the same id. An author of the
    same name in two of them counts as two.
    """
    require_libraries("engine agreement", "numpy")
    with ExitStack() as stack:
        datasets = [stack.enter_context(annotated_dataset(runs_dir, name)) for name in names]
        judgements = collect(datasets, kinds or [str(kind) for kind in KINDS])
    found = agreement(judgements, draws=draws)
    if not found:
        raise BadInput(
            f"{', '.join(names)}: no turn or conversation was judged by two authors, so there is nothing to "
            "compare. Annotate with a second judge, import people's labels, or name a second file."
        )
    document = orjson.dumps([asdict(each) for each in found], option=orjson.OPT_INDENT_2)
    if out is not None:
        with replacing(out) as file:
            file.write(document)
    if as_json:
        click.echo(document.decode())
        return 0
    console = table_console()
    for question in found:
        _print(console, question)
    return 0


def collect(datasets: Sequence[Dataset], kinds: Sequence[str]) -> Judgements:
    """All judgements; authors whose name several datasets use get their dataset's name."""
    judgements = Judgements(kinds)
    authors: list[set[str]] = []
    if len(datasets) > 1:
        authors = [
            {
                annotation.author
                for conversation in dataset
                for annotations in (conversation.annotations, *(t.annotations for t in conversation.turns))
                for annotation in annotations
                if annotation.kind in kinds
            }
            for dataset in datasets
        ]
    uses = Counter(author for each in authors for author in each)
    labels = [
        dataset.name if [d.name for d in datasets].count(dataset.name) == 1 else str(dataset.path)
        for dataset in datasets
    ]
    for dataset, label in zip(datasets, labels, strict=True):
        renamed = {author: f"{author}@{label}" for author, count in uses.items() if count > 1}
        for conversation in dataset:
            judgements.add(conversation, renamed=renamed)
    return judgements


def _print(console: Console, question: QuestionAgreement) -> None:
    """Each pair with its coefficients, its confusion matrix and its tasks; then the groups."""
    for pair in question.pairs:
        units = f"{pair.units} units in {pair.conversations} conversations"
        click.echo(plain(f"{question.question}: {pair.first} / {pair.second} ({pair.relation}, {units})"))
        _print_coefficients(console, pair.coefficients)
        if len(question.categories) <= _WIDEST:
            _print_confusion(console, question, pair)
        _print_by_task(console, pair)
    for group in question.groups:
        units = f"{group.units} units, {group.everywhere} of them judged by all"
        click.echo(plain(f"{question.question}: {group.group}: {', '.join(group.authors)} ({units})"))
        _print_coefficients(console, group.coefficients)


def _print_coefficients(console: Console, coefficients: Mapping[str, Estimate]) -> None:
    rows = [
        (name, _number(found.value), interval_text(found.low, found.high))
        for name, found in coefficients.items()
    ]
    print_table(console, ("", "", "95 % interval"), rows)


def _print_confusion(console: Console, question: QuestionAgreement, pair: PairAgreement) -> None:
    """Rows: what the first said; columns: what the second said."""
    columns = (f"{pair.first} says, right: {pair.second} says", *map(str, question.categories))
    rows = [
        (str(category), *(str(count or "") for count in row))
        for category, row in zip(question.categories, pair.confusion, strict=True)
    ]
    print_table(console, columns, rows)


def _print_by_task(console: Console, pair: PairAgreement) -> None:
    rows = [
        (task or "(no task)", str(found.units), _number(found.percent), _number(found.kappa))
        for task, found in pair.by_task.items()
    ]
    print_table(console, ("task", "units", "percent", "Cohen's kappa"), rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def interval_text(low: float | None, high: float | None) -> str:
    """An interval as tables show it."""
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
