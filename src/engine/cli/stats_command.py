"""`engine stats`: the paper's tables of any dataset, each definition a named option."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click
import orjson
from rich import box
from rich.console import Console
from rich.table import Table

from engine.analysis.definitions import PAPER, Definitions
from engine.analysis.distribution import Distribution
from engine.analysis.intents import PARTS
from engine.analysis.statistics import Statistics
from engine.analysis.table1 import LAST_POSITION, Table1Row
from engine.cli.dataset_argument import dataset_argument, find_dataset
from engine.cli.shared_options import json_option, runs_dir_option
from engine.dataset.source import open_dataset
from engine.dataset.tokens import count_tokens
from engine.errors import BadInput, UsageError


@click.command()
@dataset_argument
@click.option(
    "--paper", is_flag=True, help="The paper's definitions; the options below then change single ones."
)
@click.option(
    "--averages-without",
    "without",
    multiple=True,
    metavar="TASK",
    help="Leave TASK out of Table 1's averages, not of its counts; may be repeated.",
)
@click.option(
    "--utterances", type=click.Choice(["both", "user", "assistant"]), help="Whose turns are utterances."
)
@click.option(
    "--merge",
    "merges",
    multiple=True,
    metavar="TASK=NAME",
    help="Table 2 has TASK under NAME; may be repeated.",
)
@click.option("--author", help="Whose annotations count, e.g. dataset; default: the first there is.")
@click.option(
    "--split",
    "split_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="JSON that gives each user turn its part: Table 3 by train, validation and test.",
)
@runs_dir_option
@json_option
def stats(
    dataset_name: str,
    paper: bool,
    without: tuple[str, ...],
    utterances: str | None,
    merges: tuple[str, ...],
    author: str | None,
    split_file: Path | None,
    runs_dir: Path,
    as_json: bool,
) -> int:
    """Count RUN_OR_FILE: Table 1 (raw and kept), 2 and 3, Figure 6, hallucinated replies."""
    started = time.monotonic()
    definitions = _definitions(PAPER if paper else Definitions(), without, utterances, merges, author)
    statistics = Statistics(count_tokens, definitions, None if split_file is None else read_split(split_file))
    dataset = open_dataset(find_dataset(runs_dir, dataset_name))
    for conversation in dataset:
        statistics.add(conversation)
    seconds = time.monotonic() - started
    if as_json:
        facts = {"dataset": dataset.name, "format": dataset.format, "seconds": round(seconds, 3)}
        click.echo(orjson.dumps(facts | statistics.as_dict()).decode())
        return 0
    console = Console(highlight=False)
    for table in _tables(statistics):
        console.print(table)
    total = sum(statistics.construction.values())
    by = ", ".join(f"{count} {name}" for name, count in sorted(statistics.construction.items()))
    click.echo(f"{total} conversations of {dataset.name} ({by}) counted in {seconds:.1f} s")
    return 0


def _definitions(
    start: Definitions,
    without: tuple[str, ...],
    utterances: str | None,
    merges: tuple[str, ...],
    author: str | None,
) -> Definitions:
    pairs = [each.partition("=") for each in merges]
    for task, _, name in pairs:
        if not task or not name:
            raise UsageError("--merge: write it as TASK=NAME, e.g. 'new travel planning=travel planning'.")
    changed = replace(
        start,
        averages_without=start.averages_without | set(without),
        merged={**start.merged, **{task: name for task, _, name in pairs}},
        author=author or start.author,
    )
    return changed if utterances is None else replace(changed, utterances=utterances)  # type: ignore[arg-type]


def read_split(path: Path) -> dict[str, str]:
    """Conversation id to a letter (t, v or e) per user turn, from `{"split": {id: letters}}`, or BadInput."""
    try:
        document = orjson.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}).") from error
    except orjson.JSONDecodeError as error:
        raise BadInput(f"{path}: is no JSON ({error}).") from error
    split = document.get("split") if isinstance(document, dict) else None
    if not isinstance(split, dict) or not all(
        isinstance(letters, str) and set(letters) <= PARTS.keys() for letters in split.values()
    ):
        raise BadInput(
            f"{path}: is no split: it has to hold an object `split` that gives each conversation's id "
            f"one letter per user turn ({', '.join(f'{letter} {part}' for letter, part in PARTS.items())})."
        )
    return split


def _tables(statistics: Statistics) -> list[Table]:
    tables = [_table1(statistics), _rounds(statistics), _tokens(statistics)]
    if means := statistics.ratings.table2(statistics.definitions):
        tables += [_table2(means), _figure6(statistics.ratings.figure6())]
    if statistics.intents.labelled:
        tables.append(_table3(statistics))
    if statistics.hallucinations.judged:
        tables.append(_hallucinated(statistics))
    return tables


def _new(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def _table1(statistics: Statistics) -> Table:
    definitions, raw, kept = statistics.definitions, statistics.raw(), statistics.kept
    without = ", ".join(sorted(definitions.averages_without))
    table = _new(
        f"Table 1{f' (averages without {without})' if without else ''}", "", "scenarios", "conversations",
        "utterances", "rounds", "tokens", "tokens/user utt.", "tokens/assistant utt.",
    )  # fmt: skip
    rows: list[tuple[str, Table1Row]] = [("raw", raw.row(definitions)), ("kept", kept.row(definitions))]
    rows += [(f"  {task or '(no task)'}", kept.row(definitions, task)) for task in sorted(kept.by_task)]
    for name, row in rows:
        table.add_row(
            name, str(row.scenarios), str(row.conversations), f"{row.mean_utterances:.4f}",
            f"{row.mean_rounds:.4f}", f"{row.mean_tokens:.2f}", f"{row.mean_user_tokens:.2f}",
            f"{row.mean_assistant_tokens:.2f}",
        )  # fmt: skip
    return table


def _rounds(statistics: Statistics) -> Table:
    kept = statistics.kept
    numbers = sorted(kept.rounds().counts)
    table = _new("Rounds per conversation", "", *map(str, numbers))
    rows = [
        ("all", kept.rounds()),
        *((task or "(no task)", kept.by_task[task].rounds) for task in sorted(kept.by_task)),
    ]
    for name, rounds in rows:
        table.add_row(name, *(str(rounds.counts[number] or "") for number in numbers))
    return table


def _tokens(statistics: Statistics) -> Table:
    by_side = statistics.kept.tokens_by_position()
    positions = sorted({position for tokens in by_side.values() for position in tokens})
    shown = [f"{p}+" if p == LAST_POSITION else str(p) for p in positions]
    table = _new("Mean tokens of an utterance, by its position among its side's", "", *shown)
    for role, tokens in by_side.items():
        table.add_row(role.value, *(_mean(tokens.get(position)) for position in positions))
    return table


def _mean(tokens: Distribution | None) -> str:
    return "" if tokens is None else f"{tokens.mean:.2f}"


def _table2(means: Mapping[str, Mapping[str, float]]) -> Table:
    metrics = list(dict.fromkeys(metric for row in means.values() for metric in row))
    table = _new("Table 2 (mean rating)", "", *means)
    for metric in metrics:
        table.add_row(metric, *(f"{row[metric]:.3f}" if metric in row else "" for row in means.values()))
    return table


def _figure6(counts: Mapping[str, Mapping[int, int]]) -> Table:
    scores = sorted({score for by_score in counts.values() for score in by_score})
    table = _new("Figure 6 (conversations with each score)", "", *map(str, scores))
    for metric, by_score in counts.items():
        table.add_row(metric, *(str(by_score[score]) if score in by_score else "" for score in scores))
    return table


def _table3(statistics: Statistics) -> Table:
    intents = statistics.intents
    totals = intents.ordered(intents.totals)
    table = _new(f"Table 3 (intents of {intents.utterances} user utterances)", "", *totals, "utterances")
    table.add_row("all", *map(str, totals.values()), str(intents.utterances))
    for part in PARTS.values():
        if counts := intents.by_part.get(part):
            table.add_row(
                part, *(str(counts[label]) for label in totals), str(intents.utterances_by_part[part])
            )
    for position, counts in intents.by_position.items():
        table.add_row(f"  {position}", *(str(counts[label]) for label in totals), "")
    return table


def _hallucinated(statistics: Statistics) -> Table:
    found = statistics.hallucinations
    table = _new(
        "Hallucinated replies", "", "hallucinated", "cannot tell", "judged", "replies", "conversations"
    )
    table.add_row(
        "all", str(found.hallucinated), str(found.cannot_tell), str(found.judged), str(found.replies),
        str(found.conversations_with_any),
    )  # fmt: skip
    for task, count in sorted(found.by_task.items()):
        table.add_row(f"  {task or '(no task)'}", str(count), "", "", "", "")
    return table
