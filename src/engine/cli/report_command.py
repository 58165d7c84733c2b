"""`engine report`: a dataset as one HTML page, and its figures as files."""

from __future__ import annotations

import time
from contextlib import closing
from itertools import chain
from pathlib import Path

import click

from engine.analysis.definitions import PAPER, Definitions
from engine.analysis.figures import write_figures
from engine.analysis.glyphs import Glyphs
from engine.analysis.libraries import is_plotting_possible, require_libraries
from engine.analysis.report import blocks_of, figures_of
from engine.analysis.report_page import page
from engine.analysis.report_tally import GALLERY, ReportTally, RunFacts
from engine.analysis.statistics import Statistics
from engine.cli.annotated import annotated_dataset
from engine.cli.dataset_argument import dataset_argument, find_dataset
from engine.cli.shared_options import runs_dir_option
from engine.dataset.build import replacing
from engine.dataset.costs import read_costs
from engine.dataset.source import Dataset, open_dataset
from engine.dataset.tokens import count_tokens
from engine.errors import BadInput
from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader
from engine.llm.prices import usd
from engine.schema.conversation import STAGE
from engine.version import __version__


@click.command("report")
@dataset_argument
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE",
    help="The page; default: report.html in the run, or <name>-report.html here.",
)  # fmt: skip
@click.option(
    "--figures", "figures_dir", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Write each figure there too, as SVG and PNG.",
)  # fmt: skip
@click.option(
    "--beside", multiple=True, metavar="RUN_OR_FILE",
    help="Another dataset for the table of construction methods; may be repeated.",
)  # fmt: skip
@click.option("--paper", is_flag=True, help="The paper's definitions, as of `engine stats`.")
@click.option("--author", metavar="NAME", help="Whose annotations count; default: the first there is.")
@click.option(
    "--gallery", type=click.IntRange(0, 50), default=GALLERY, show_default=True, metavar="N",
    help="Conversations of each task to show whole.",
)  # fmt: skip
@click.option(
    "--font", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Font of the figures, e.g. one with Chinese characters.",
)  # fmt: skip
@runs_dir_option
def report(
    dataset_name: str,
    out: Path | None,
    figures_dir: Path | None,
    beside: tuple[str, ...],
    paper: bool,
    author: str | None,
    gallery: int,
    font: Path | None,
    runs_dir: Path,
) -> int:
    """Write one self-contained HTML page about RUN_OR_FILE: tables, figures, conversations.

    It needs no network. Without matplotlib and wordcloud (extra [analysis]) it has tables only.
    """
    started = time.monotonic()
    can_draw = is_plotting_possible()
    if figures_dir is not None or font is not None:
        require_libraries("--figures and --font", "matplotlib", "wordcloud")
    start = PAPER if paper else Definitions()
    definitions = Definitions(start.averages_without, start.utterances, start.merged, author or start.author)
    glyphs = Glyphs(font) if can_draw else None
    tally = ReportTally(count_tokens, definitions, gallery)
    with annotated_dataset(runs_dir, dataset_name) as dataset:
        for conversation in dataset:
            tally.add(conversation)
    statistics = tally.statistics
    total = sum(statistics.construction.values())
    if not total:
        raise BadInput(f"{dataset_name}: holds no conversation yet, so there is nothing to report.")
    others = [_counted(open_dataset(find_dataset(runs_dir, name)), definitions) for name in beside]
    facts = run_facts(dataset)
    drawn, clouds, note = figures_of(tally, facts, glyphs)
    content = page(
        f"Dataset report: {dataset.name}",
        [line for line in (*_summary(dataset, tally, total), note) if line],
        blocks_of(tally, facts, drawn, clouds, [(dataset.name, statistics), *others]),
        tally.gallery,
        f"Made by recsim-engine {__version__}."
        + ("" if can_draw else " Figures need pip install 'recsim-engine[analysis]'."),
        definitions.author,
    )
    path = out or (
        dataset.path / "report.html" if dataset.is_run else Path(f"{dataset.name.split('.')[0]}-report.html")
    )
    with replacing(path) as file:
        file.write(content)
    if figures_dir is not None:
        for figure, picture in write_figures([*chain(drawn.values(), clouds.values())], figures_dir).items():
            with replacing(figure) as file:
                file.write(picture)
    seconds = time.monotonic() - started
    where = f", {2 * len(drawn) + 2 * len(clouds)} figures in {figures_dir}" if figures_dir else ""
    click.echo(f"{total} conversations reported in {path}{where} ({seconds:.1f} s)")
    if note:
        click.echo(note, err=True)
    return 0


def run_facts(dataset: Dataset) -> RunFacts | None:
    """What a run of the engine's own took; None for imports and files, which cost nothing here."""
    if not dataset.is_run or dataset.format != "engine":
        return None
    with closing(Reader(dataset.path / JOURNAL_NAME)) as reader:
        totals, sessions = reader.totals(), reader.sessions()
        ended = sorted(outcome.ended_at for outcome in reader.outcome_facts_from(STAGE, 0))
        costs = read_costs(reader)
    if not totals.replies:
        return None
    return RunFacts(
        calls=totals.replies,
        failed_calls=totals.failed,
        prompt_tokens=totals.prompt_tokens,
        completion_tokens=totals.completion_tokens,
        cached_tokens=totals.cached_tokens,
        sessions=len(sessions),
        duration_s=sum(each.ended_at - each.started_at for each in sessions if each.ended_at),
        ended=tuple(at - ended[0] for at in ended),
        cost_usd=usd(costs.cost) if costs.is_known and not costs.unpriced else None,
    )


def _counted(dataset: Dataset, definitions: Definitions) -> tuple[str, Statistics]:
    statistics = Statistics(count_tokens, definitions)
    for conversation in dataset:
        statistics.add(conversation)
    return dataset.name, statistics


def _summary(dataset: Dataset, tally: ReportTally, total: int) -> list[str]:
    kept = tally.statistics.kept.rounds().n
    models = "; ".join(
        f"{side}: {', '.join(name for name, _ in counts.most_common(3) if name)}"
        for side, counts in sorted(tally.models.items())
        if any(counts)
    )
    return [
        f"{total} conversations, {kept} kept, in {len(tally.statistics.raw().by_task)} tasks; "
        f"format {dataset.format}.",
        f"Models: {models}." if models else "",
        "Everything but the rows named raw, end reasons and defects is of kept conversations.",
    ]
