"""`engine stats`: the paper's tables of any dataset, each definition a named option."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click
import orjson

from engine.analysis.definitions import PAPER, Definitions
from engine.analysis.intents import PARTS
from engine.analysis.sections import Section, section
from engine.analysis.statistics import Statistics
from engine.analysis.table1 import LAST_POSITION, Table1Row
from engine.cli.annotated import annotated_dataset
from engine.cli.dataset_argument import dataset_argument
from engine.cli.section_tables import print_section, table_console
from engine.cli.shared_options import json_option, runs_dir_option
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
    with annotated_dataset(runs_dir, dataset_name) as dataset:
        for conversation in dataset:
            statistics.add(conversation)
    seconds = time.monotonic() - started
    if as_json:
        facts = {"dataset": dataset.name, "format": dataset.format, "seconds": round(seconds, 3)}
        click.echo(orjson.dumps(facts | statistics.as_dict()).decode())
        return 0
    console = table_console()
    for table in _tables(statistics):
        print_section(console, table)
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


def _tables(statistics: Statistics) -> list[Section]:
    tables = [_table1(statistics), _rounds(statistics), _tokens(statistics)]
    if means := statistics.ratings.table2(statistics.definitions):
        tables += [_table2(means), _figure6(statistics.ratings.figure6())]
    if statistics.intents.labelled:
        tables.append(_table3(statistics))
    if statistics.hallucinations.judged:
        tables.append(_hallucinated(statistics))
    return tables


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Section:
    return section(title, ("", *columns), rows)


def _table1(statistics: Statistics) -> Section:
    definitions, raw, kept = statistics.definitions, statistics.raw(), statistics.kept
    without = ", ".join(sorted(definitions.averages_without))
    rows: list[tuple[str, Table1Row]] = [("raw", raw.row(definitions)), ("kept", kept.row(definitions))]
    rows += [(f"  {_named(task)}", kept.row(definitions, task)) for task in sorted(kept.by_task)]
    return _table(
        f"Table 1{f' (averages without {without})' if without else ''}",
        ("scenarios", "conversations", "utterances", "rounds", "tokens", "user's", "assistant's"),
        [
            (
                name, str(row.scenarios), str(row.conversations), f"{row.mean_utterances:.4f}",
                f"{row.mean_rounds:.4f}", f"{row.mean_tokens:.2f}", f"{row.mean_user_tokens:.2f}",
                f"{row.mean_assistant_tokens:.2f}",
            )
            for name, row in rows
        ],
    )  # fmt: skip


def _rounds(statistics: Statistics) -> Section:
    kept = statistics.kept
    numbers = sorted(kept.rounds().counts)
    rows = [("all", kept.rounds())]
    rows += [(f"  {_named(task)}", kept.by_task[task].rounds) for task in sorted(kept.by_task)]
    return _table(
        "Conversations by number of rounds",
        [str(number) for number in numbers],
        [(name, *(str(rounds.counts[number] or "") for number in numbers)) for name, rounds in rows],
    )


def _tokens(statistics: Statistics) -> Section:
    by_side = statistics.kept.tokens_by_position()
    positions = sorted({position for tokens in by_side.values() for position in tokens})
    return _table(
        "Mean tokens of an utterance, by its position among its side's",
        [f"{position}+" if position == LAST_POSITION else str(position) for position in positions],
        [
            (role.value, *(f"{tokens[p].mean:.2f}" if p in tokens else "" for p in positions))
            for role, tokens in by_side.items()
        ],
    )


def _table2(means: Mapping[str, Mapping[str, float]]) -> Section:
    metrics = list(dict.fromkeys(metric for row in means.values() for metric in row))
    return _table(
        "Table 2 (mean rating)",
        [_named(task) for task in means],
        [
            (metric, *(f"{row[metric]:.3f}" if metric in row else "" for row in means.values()))
            for metric in metrics
        ],
    )


def _figure6(counts: Mapping[str, Mapping[int, int]]) -> Section:
    scores = sorted({score for by_score in counts.values() for score in by_score})
    return _table(
        "Figure 6 (conversations with each score)",
        [str(score) for score in scores],
        [
            (metric, *(str(by_score.get(score, "")) for score in scores))
            for metric, by_score in counts.items()
        ],
    )


def _table3(statistics: Statistics) -> Section:
    intents = statistics.intents
    rows = [("all", intents.totals, str(intents.utterances))]
    rows += [
        (part, intents.by_part[part], str(intents.utterances_by_part[part]))
        for part in PARTS.values()
        if part in intents.by_part
    ]
    rows += [(f"  {position} turn", counts, "") for position, counts in intents.by_position.items()]
    labels = list(intents.ordered(intents.totals))
    return _table(
        "Table 3 (intents of user utterances)",
        [*labels, "utterances"],
        [(name, *(str(counts[label]) for label in labels), utterances) for name, counts, utterances in rows],
    )


def _hallucinated(statistics: Statistics) -> Section:
    found = statistics.hallucinations
    total = (found.hallucinated, found.cannot_tell, found.judged, found.replies, found.conversations_with_any)
    rows = [("all", *map(str, total))]
    rows += [(f"  {_named(task)}", str(count), *[""] * 4) for task, count in sorted(found.by_task.items())]
    return _table(
        "Hallucinated replies",
        ("hallucinated", "cannot tell", "judged", "replies", "conversations with any"),
        rows,
    )


def _named(task: str) -> str:
    return task or "(no task)"
