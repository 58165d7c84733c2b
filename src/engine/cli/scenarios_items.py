"""`engine scenarios items`: what conversations named of their task's list, recall@k by turn, and leaks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import orjson
from rich.console import Console

from engine.analysis.sections import Section, number, section
from engine.cli.dataset_argument import dataset_argument, find_dataset
from engine.cli.section_tables import print_section
from engine.cli.shared_options import json_option, runs_dir_option
from engine.dataset.source import open_dataset
from engine.errors import BadInput, UsageError
from engine.scenarios.item_counts import KS, LAST_TURN, ItemTally

_WIDTH = 110


@click.command("items")
@dataset_argument
@click.option(
    "--k", "ks", default=",".join(map(str, KS)), show_default=True, metavar="K,...",
    help="How many of the first items named count as found.",
)  # fmt: skip
@click.option("--raw", is_flag=True, help="Dropped conversations too.")
@click.option("--top", type=click.IntRange(0, 1000), default=10, show_default=True, metavar="N",
              help="The items named most often.")  # fmt: skip
@runs_dir_option
@json_option
def items_command(dataset_name: str, ks: str, raw: bool, top: int, runs_dir: Path, as_json: bool) -> int:
    """Count what assistants recommended from their task's list of items, task by task.

    Where conversations have targets: recall@k by assistant turn, and those in which the simulator named a
    target before the assistant had.
    """
    wanted = _read_ks(ks)
    by_task: dict[str, ItemTally] = {}
    for conversation in open_dataset(find_dataset(runs_dir, dataset_name), only_kept=not raw):
        items = conversation.extra.get("items")
        if isinstance(items, dict):
            tally = by_task.setdefault(conversation.task, ItemTally(wanted))
            tally.add(conversation.conversation_id, items, [turn.role.value for turn in conversation.turns])
    if not by_task:
        raise BadInput(
            f"{dataset_name} holds no conversation whose task has a list of items; docs/scenarios.md says "
            "how a task gets one."
        )
    if as_json:
        document = {
            task: tally.as_summary() | {"leaks": tally.leaks, "items": dict(tally.recommended.most_common())}
            for task, tally in by_task.items()
        }
        click.echo(orjson.dumps(document).decode())
        return 0
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)
    for each in _sections(by_task, wanted, top):
        print_section(console, each)
    for tally in by_task.values():
        for conversation_id in tally.leaks:
            click.echo(f"leaked: {conversation_id}: the simulator named a target before the assistant had")
    return 0


def _read_ks(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part[:7]) < 1_000_000 for part in parts):
        raise UsageError(f"--k: write numbers above 0, such as {','.join(map(str, KS))}; it is {text!r}.")
    return tuple(sorted({int(part) for part in parts}))


def _sections(by_task: dict[str, ItemTally], ks: tuple[int, ...], top: int) -> Iterator[Section]:
    yield section(
        "Recommendations from the list",
        ("task", "conversations", "replies", "with an item", "named", "different", "with targets", "leaked"),
        [
            (
                task, str(each.conversations), str(each.turns), str(each.turns_with_item),
                str(each.recommended.total()), str(len(each.recommended)), str(each.with_targets),
                str(each.leaked),
            )
            for task, each in by_task.items()
        ],
        "Named: an item counts once a conversation. Leaked: the simulator named a target first.",
    )  # fmt: skip
    turns = range(1, LAST_TURN + 1)
    for task, each in by_task.items():
        if each.with_targets:
            yield section(
                f"{task}: recall@k by assistant turn",
                ("k", *map(str, turns)),
                [(f"@{k}", *(number(each.recall(k, turn)) for turn in turns)) for k in ks],
                "Share of targets among the first k different items that the assistant has named by then.",
            )
        if top and each.recommended:
            yield section(
                f"{task}: items named most often",
                ("item", "conversations"),
                [(item_id, str(count)) for item_id, count in each.recommended.most_common(top)],
            )
