"""`engine agreement`: how far judges and people agree, in one dataset or several of the same conversations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
import orjson
from rich import box
from rich.console import Console
from rich.table import Table

from engine.analysis.agreement import DRAWS, Estimate, PairAgreement, QuestionAgreement, agreement
from engine.analysis.judgements import KINDS, Judgements
from engine.analysis.libraries import require_libraries
from engine.cli.dataset_argument import find_dataset
from engine.cli.shared_options import json_option, runs_dir_option
from engine.dataset.build import replacing
from engine.dataset.source import Dataset, open_dataset
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
    datasets = [open_dataset(find_dataset(runs_dir, name)) for name in names]
    found = agreement(collect(datasets, kinds or [str(kind) for kind in KINDS]), draws=draws)
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
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 130)
    for question in found:
        for table in _tables(question):
            console.print(table)
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


def _tables(question: QuestionAgreement) -> list[Table]:
    names = list(question.pairs[0].coefficients)
    overview = _table(question.question, ["", "", "units", *names])
    for pair in question.pairs:
        overview.add_row(
            f"{pair.first} / {pair.second}",
            pair.relation,
            str(pair.units),
            *(_shown(pair.coefficients[name]) for name in names),
        )
    tables = [overview]
    for group in question.groups:
        row = _table(f"{question.question}: {', '.join(group.authors)}", ["", "units", *group.coefficients])
        units = f"{group.units} ({group.everywhere} by all)"
        row.add_row(group.group, units, *(_shown(each) for each in group.coefficients.values()))
        tables.append(row)
    if len(question.categories) <= _WIDEST:
        tables += [_confusion(question, pair) for pair in question.pairs]
    return tables


def _confusion(question: QuestionAgreement, pair: PairAgreement) -> Table:
    """Rows: what the first said; then, task by task, units, share and kappa."""
    tasks = "; ".join(
        f"{task or '(no task)'} {found.units}: {_number(found.percent)}, kappa {_number(found.kappa)}"
        for task, found in pair.by_task.items()
    )
    table = _table(
        f"{question.question}: {pair.first} (rows) against {pair.second}",
        ["", *map(str, question.categories)],
    )
    table.caption, table.caption_justify = tasks, "left"
    for category, row in zip(question.categories, pair.confusion, strict=True):
        table.add_row(str(category), *(str(count or "") for count in row))
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _shown(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return _number(estimate.value)
    return f"{_number(estimate.value)} [{estimate.low:.3f}, {estimate.high:.3f}]"
