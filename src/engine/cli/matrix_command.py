"""`engine matrix`: the cells of a run's matrix side by side, paired by job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click
import orjson

from engine.analysis.libraries import require_libraries
from engine.analysis.matrix import PairedJobs, compare_cells
from engine.analysis.matrix_sections import matrix_sections, objections
from engine.analysis.measures import Reading
from engine.analysis.sections import markdown
from engine.cli.annotated import annotated_dataset
from engine.cli.dataset_argument import dataset_argument
from engine.cli.section_tables import print_section, table_console
from engine.cli.shared_options import json_option, labels_author_option, runs_dir_option, tables_file_option
from engine.dataset.build import replacing
from engine.dataset.tokens import count_tokens
from engine.errors import BadInput, UsageError
from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader
from engine.journal.usage import source_of, usage_by_conversation
from engine.llm.prices import PRICES, Price, decode_prices, usd
from engine.schema.conversation import STAGE, Role
from engine.schema.job import cell_of


@click.command("matrix")
@dataset_argument
@click.option(
    "--baseline", "baselines", multiple=True, metavar="NAME",
    help="What others are compared with: a simulator, an assistant, a cell; default: the first of each.",
)  # fmt: skip
@click.option(
    "--draw", "unit", type=click.Choice(["job", "profile"]), default="job", show_default=True,
    help="What the intervals draw; profiles are safer where few of them have many jobs.",
)  # fmt: skip
@click.option("--task", "tasks", multiple=True, metavar="TASK", help="This task only; may be repeated.")
@click.option(
    "--sample", "size", type=click.IntRange(min=2), default=2_000, show_default=True, metavar="N",
    help="At most so many jobs, chosen by their ids' digests.",
)  # fmt: skip
@labels_author_option
@tables_file_option
@runs_dir_option
@json_option
def matrix_command(
    dataset_name: str,
    baselines: tuple[str, ...],
    unit: str,
    tasks: tuple[str, ...],
    size: int,
    author: str | None,
    out: Path | None,
    runs_dir: Path,
    as_json: bool,
) -> int:
    """Compare the cells of a matrix: rounds, lengths, ends, defects, objections, cost, ratings.

    Each job is compared with itself in the other cells; differences have 95 % intervals.
    """
    require_libraries("engine matrix", "numpy")
    paired, reading = PairedJobs(size), Reading(count_tokens, None, author)
    authors: set[str] = set()
    with annotated_dataset(runs_dir, dataset_name) as dataset:
        for conversation in dataset:
            if not tasks or conversation.task in tasks:
                paired.add(conversation, reading)
                authors.update(each.author for each in conversation.annotations)
                for turn in conversation.turns:
                    authors.update(each.author for each in turn.annotations)
        name, folder = dataset.name, dataset.path if dataset.is_run else None
    if not paired.cells:
        of = f" of {' or '.join(map(repr, tasks))}" if tasks else ""
        raise BadInput(
            f"{dataset_name}: holds no conversation{of} of a matrix that has ended. A run has one where its "
            "configuration names simulators or assistants under `matrix`; `engine compare A B` compares two "
            "datasets."
        )
    if author is not None and author not in authors:
        raise UsageError(
            f"--author: nothing here is by {author!r}. There are: {', '.join(sorted(authors)) or 'none'}."
        )
    known = {part for cell in paired.cells.values() for part in (cell.name, cell.simulator, cell.assistant)}
    for each in baselines:
        if each not in known:
            raise UsageError(
                f"--baseline: there is no {each!r}. There are: {', '.join(sorted(known - {''}))}."
            )
    if folder is not None:
        for conversation_id, cost_usd in _costs(folder / JOURNAL_NAME):
            paired.add_cost(conversation_id, cell_of(conversation_id), cost_usd)
    found = compare_cells(name, paired, baselines=baselines, by_profile=unit == "profile")
    document = orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2)
    sections, said = matrix_sections(found), list(objections(found))
    if out is not None:
        page = markdown(f"{name}: the cells of its matrix", sections) + "".join(
            f"\n{line}\n" for line in said
        )
        with replacing(out) as file:
            file.write(document if out.suffix == ".json" else page.encode("utf-8", "replace"))
    if as_json:
        click.echo(document.decode())
        return 0
    console = table_console()
    for table in sections:
        print_section(console, table)
    for line in said:
        click.echo(line)
    if not found.jobs:
        click.echo("No job has been held in every cell yet, so nothing can be compared.")
    if out:
        click.echo(f"written to {out}")
    return 0


def _costs(journal: Path) -> Iterator[tuple[str, float]]:
    """(conversation, USD) of each side, cached tokens at their price; of cells whose prices are all known."""
    with closing(Reader(journal)) as reader:
        prices = decode_prices(reader.meta(PRICES))
        known: dict[str, dict[str, Price | None]] = {}
        for item, side, usage in usage_by_conversation(reader) if prices else ():
            cell = cell_of(item)
            if cell not in known:
                known[cell] = {
                    role.value: prices.get(source_of(reader, STAGE, role, cell).model) for role in Role
                }
            price = known[cell][side]
            if price is not None and None not in known[cell].values():
                yield item, usd(price.cost(usage))
