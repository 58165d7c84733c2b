"""`engine scenarios check`: the paper's criteria for scenarios, from their texts and from a pilot run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console

from engine.analysis.pilot import MOST_ONE_ROUND, PilotCounts, PilotTally
from engine.analysis.sections import Section, section
from engine.cli.dataset_argument import find_dataset
from engine.cli.scenarios_source import Source, open_source, source_options
from engine.cli.section_tables import print_section
from engine.cli.shared_options import json_option, new_runs_dir_option
from engine.dataset.source import open_dataset
from engine.dialogue.languages import foreign_language
from engine.dialogue.speech import fold
from engine.errors import BadInput
from engine.scenarios.catalog import Catalog
from engine.scenarios.criteria import TaskCriteria, judge_tasks, load_aspect_words, never_drawn_on
from engine.scenarios.task_file import LANGUAGES
from engine.schema.profile import ASPECTS

_WIDTH = 110
_GAP = re.compile(r"\{[{%#].*?[}%#]\}", re.DOTALL)
# Facts of these two are told by no words of their own (see `analysis/facts.py`).
_NOT_TOLD_BY_WORDS = ("gender", "age")


@click.command("check")
@click.argument("tasks", metavar="[TASK]...", nargs=-1)
@source_options
@click.option("--run", "pilot_name", metavar="RUN_OR_FILE", help="A pilot: how its conversations ended.")
@click.option("--strict", is_flag=True, help="Exit with 65 where anything is flagged.")
@new_runs_dir_option
@json_option
def check_command(
    tasks: tuple[str, ...],
    pilot_name: str | None,
    strict: bool,
    runs_dir: Path,
    as_json: bool,
    **options: Any,
) -> int:
    """Check scenarios against the paper's criteria; a file that cannot be read gives exit code 65.

    From the templates: standing requirements, and which aspects of the profile are drawn on. From a pilot:
    the share of conversations that end after one round (above 5 % is flagged), and what users revealed.
    """
    source = open_source(**options)
    catalog = source.load(tasks or None)
    found = judge_tasks(catalog, load_aspect_words(source.folder))
    pilot = None if pilot_name is None else _read_pilot(runs_dir, pilot_name, catalog)
    flags = [*_flags(found, pilot), *_foreign_texts(catalog), *_other_languages(source, catalog)]
    flags = list(dict.fromkeys(flags))  # prompts that all tasks share are looked at with each of them
    if as_json:
        click.echo(orjson.dumps(_document(found, pilot, flags)).decode())
    else:
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = max(console.width, _WIDTH)
        for each in _sections(found, pilot):
            print_section(console, each)
        for flag in flags:
            click.echo(f"flagged: {flag}")
        total = sum(len(task.by_scenario) for task in found)
        click.echo(f"{len(found)} tasks, {total} scenarios, {len(flags)} flagged")
    return BadInput.exit_code if strict and flags else 0


def _read_pilot(runs_dir: Path, name: str, catalog: Catalog) -> PilotTally:
    """Count the conversations of the catalog's tasks, kept and dropped alike."""
    names = {task.name for task in catalog.tasks.values()}
    tally = PilotTally()
    for conversation in open_dataset(find_dataset(runs_dir, name)):
        if conversation.task in names:
            tally.add(conversation)
    if not tally.by_task:
        raise BadInput(f"{name} holds no conversation of {', '.join(sorted(names))} that has come to an end.")
    return tally


def _flags(found: Sequence[TaskCriteria], pilot: PilotTally | None) -> Iterator[str]:
    for task in found:
        yield from (f"{task.slug}: {flag}" for flag in task.flags)
    if pilot is not None:
        named = [(f"{name} {number}", counts) for (name, number), counts in sorted(pilot.by_scenario.items())]
        for name, counts in (*sorted(pilot.by_task.items()), *named):
            if counts.is_flagged:
                yield (
                    f"{name}: {counts.one_round} of {counts.ended} conversations ended after one round "
                    f"({counts.share:.1%}, more than {MOST_ONE_ROUND:.0%})"
                )


def _other_languages(source: Source, catalog: Catalog) -> Iterator[str]:
    """Tasks that a run in another language of the folder's prompts could not use, and texts of a third."""
    for language in LANGUAGES:
        if language == source.language or not (source.folder / "_prompts" / language).is_dir():
            continue
        for slug in catalog.tasks:
            try:
                other = Catalog.load(source.folder, language, [slug])
            except BadInput as error:
                yield f"{slug}: not usable in the language {language}: {error}"
            else:
                yield from _foreign_texts(other)


def _foreign_texts(catalog: Catalog) -> Iterator[str]:
    """Scenarios and prompts that are written in another language than the one they are for."""
    language = catalog.language
    texts = {f"{each.task}-{each.number}": each.text for each in catalog.scenarios()}
    for slug, task in catalog.tasks.items():
        texts[f"description of {slug}"] = task.description.source
        shared = catalog.shared_prompts
        texts |= {
            f"prompt {name}" if shared.get(name) is prompt else f"prompt {name} of {slug}": prompt.source
            for name, prompt in task.prompts.items()
        }
    for name, text in texts.items():
        # A gap's name is no word of the text, and a shared end phrase has too few to be told.
        found = foreign_language(fold(_GAP.sub(" ", text)), language)
        if found is not None:
            yield f"{name}: is meant for the language {language} and reads as {found}"


def _sections(found: Sequence[TaskCriteria], pilot: PilotTally | None) -> Iterator[Section]:
    rows = [
        (
            task.slug, f"{len(task.by_scenario)} of {task.combinations}", str(len(task.requirements)),
            str(len(task.aspects)), ", ".join(f"{key} {option}" for key, option in task.unused) or "-",
        )
        for task in found
    ]  # fmt: skip
    columns = ("task", "scenarios", "requirements", "aspects", "options in no scenario")
    yield section("Standing requirements", columns, rows)
    yield section(
        "Aspects of the profile that scenarios draw on",
        ("aspect", *(task.slug for task in found)),
        [(aspect.label_en, *(_share(task, aspect.key) for task in found)) for aspect in ASPECTS],
        "Scenarios whose text has words of the aspect (_scenarios/aspects.yaml); † the task names it itself. "
        f"Drawn on by none: {', '.join(never_drawn_on(found)) or 'none'}.",
    )
    if pilot is not None:
        named = [
            (f"  {name} {number}", counts) for (name, number), counts in sorted(pilot.by_scenario.items())
        ]
        yield section(
            "Pilot: conversations that ended after one round",
            ("", "ended", "after one round", "share"),
            [_pilot_row(name, counts) for name, counts in (*sorted(pilot.by_task.items()), *named)],
            f"Kept and dropped; failed and refused ones apart. The paper's limit is {MOST_ONE_ROUND:.0%}.",
        )
        if pilot.by_level:
            yield section(
                "Pilot: by level of behaviour",
                ("", "ended", "after one round", "rounds", "words of a user turn"),
                [
                    (
                        f"{axis} {level}", str(each.ended), f"{each.share:.1%}",
                        f"{each.rounds / each.ended:.2f}", f"{each.user_units / max(1, each.user_turns):.1f}",
                    )
                    for (axis, level), each in sorted(pilot.by_level.items(), key=lambda item: item[0])
                ],
                "Means; a word is a run of letters or digits, and each character of Chinese.",
            )  # fmt: skip
        yield section(
            "Pilot: aspects that users revealed",
            ("aspect", "conversations", "share", "by chance"),
            [
                (aspect.label_en, str(pilot.drawn[aspect.key]), _of(pilot.drawn[aspect.key], pilot.looked_at),
                 _of(pilot.by_chance[aspect.key], pilot.compared))
                for aspect in ASPECTS if aspect.key not in _NOT_TOLD_BY_WORDS
            ],
            "By words: half of those of a part of the aspect. By chance: the same with another profile.",
        )  # fmt: skip


def _share(task: TaskCriteria, aspect: str) -> str:
    count = sum(aspect in keys for keys in task.by_scenario.values())
    return (f"{count}" if count else "-") + ("†" if aspect == task.stated else "")


def _of(count: int, total: int) -> str:
    return f"{count / total:.1%}" if total else "-"


def _pilot_row(name: str, counts: PilotCounts) -> tuple[str, str, str, str]:
    mark = " !" if counts.is_flagged else ""
    return name, str(counts.ended), str(counts.one_round), f"{counts.share:.1%}{mark}"


def _document(
    found: Sequence[TaskCriteria], pilot: PilotTally | None, flags: Sequence[str]
) -> dict[str, object]:
    document: dict[str, object] = {
        "tasks": {
            task.slug: {
                "scenarios": {str(number): list(keys) for number, keys in task.by_scenario.items()},
                "combinations": task.combinations, "requirements": list(task.requirements),
                "aspects": list(task.aspects), "stated_aspect": task.stated,
                "options_in_no_scenario": [list(pair) for pair in task.unused],
            }
            for task in found
        },
        "never_drawn_on": list(never_drawn_on(found)),
        "flags": list(flags),
    }  # fmt: skip
    if pilot is not None:
        document["pilot"] = {
            "tasks": {
                name: asdict(counts) | {"share": counts.share} for name, counts in pilot.by_task.items()
            },
            "scenarios": [
                {"task": name, "number": number, **asdict(counts), "share": counts.share}
                for (name, number), counts in sorted(pilot.by_scenario.items())
            ],
            "aspects": {
                aspect.key: {"revealed": pilot.drawn[aspect.key], "by_chance": pilot.by_chance[aspect.key]}
                for aspect in ASPECTS if aspect.key not in _NOT_TOLD_BY_WORDS
            },
            "levels": [
                {"axis": axis, "level": level, **asdict(each)}
                for (axis, level), each in sorted(pilot.by_level.items(), key=lambda item: item[0])
            ],
            "looked_at": pilot.looked_at, "compared": pilot.compared,
        }  # fmt: skip
    return document
