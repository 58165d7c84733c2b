"""`engine scenarios combine`: writes the list of jobs that a run with chosen combinations holds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from engine.cli.scenarios_names import Wanted, parse_name
from engine.cli.scenarios_source import Source, open_source, source_options
from engine.dataset.build import replacing
from engine.errors import BadInput, UsageError
from engine.scenarios.catalog import Catalog
from engine.scenarios.combine import all_rows, pairwise_rows

MOST_JOBS = 1_000_000


@click.command("combine")
@click.argument("names", metavar="[TASK[-NUMBER]]...", nargs=-1)
@source_options
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="List to write.")
@click.option("--profiles", type=click.Path(path_type=Path), metavar="FILE", help="Pool.  [default: as runs]")
@click.option("--profile", "chosen", multiple=True, metavar="ID", help="This profile; may be repeated.")
@click.option("--first", type=click.IntRange(1), metavar="N", help="The pool's first N profiles.")
@click.option(
    "--axis", "axes", multiple=True, metavar="AXIS[=LEVEL,...]",
    help="An axis of behaviour, with all its levels or these; may be repeated.",
)  # fmt: skip
@click.option(
    "--pairwise", is_flag=True,
    help="As few jobs as cover every pair of profile, scenario and levels, not every combination.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, metavar="S", help="Which pairwise sample.")
@click.option("--force", is_flag=True, help="Replace FILE where it holds something else.")
def combine_command(
    names: tuple[str, ...],
    out: Path,
    profiles: Path | None,
    chosen: tuple[str, ...],
    first: int | None,
    axes: tuple[str, ...],
    pairwise: bool,
    seed: int,
    force: bool,
    **options: Any,
) -> int:
    """Combine scenarios, profiles and levels of behaviour into a list for `engine run --jobs FILE`.

    Without names all scenarios that runs use; a named scenario may be any position in its task's options.
    """
    source = open_source(**options)
    wanted = [parse_name(name) for name in names]
    tasks = sorted({each.task for each in wanted}) or None
    catalog = source.load(tasks, with_behaviour=bool(axes))
    scenarios = _scenarios(catalog, wanted)
    people = _people(source, profiles, chosen, first)
    levels = _levels(catalog, axes)
    sizes = [len(people), len(scenarios), *map(len, levels)]
    rows = pairwise_rows(sizes, seed) if pairwise else all_rows(sizes)
    count = _write(out, _lines(rows, people, scenarios, levels), force=force)
    click.echo(
        f"{count} of {math.prod(sizes)} combinations ({len(people)} profiles x {len(scenarios)} scenarios"
        + "".join(f" x {len(each)} levels" for each in levels)
        + f") in {out}; hold them with: engine run --jobs {out}"
    )
    return 0


def _scenarios(catalog: Catalog, wanted: Sequence[Wanted]) -> list[tuple[str, int]]:
    """In the order of plans, each once."""
    if not wanted:
        return [(each.task, each.number) for each in catalog.scenarios()]
    found = set()
    for task, number in wanted:
        numbers = catalog.tasks[task].numbers if number is None else (number,)
        found |= {(task, catalog.scenario(task, each).number) for each in numbers}
    return sorted(found)


def _people(source: Source, pool: Path | None, chosen: Sequence[str], first: int | None) -> list[str]:
    ids = [profile.profile_id for profile in source.profiles(pool)]
    if unknown := [each for each in chosen if each not in ids]:
        raise BadInput(f"there is no profile {unknown[0]!r} in the pool; its first is {ids[0]!r}.")
    ids = [each for each in ids if each in chosen] if chosen else ids
    return ids[:first]


def _levels(catalog: Catalog, axes: Sequence[str]) -> list[list[str]]:
    """The wanted levels of the wanted axes, both in the order of their file."""
    if catalog.behaviour is None:
        return []
    known = catalog.behaviour.axes
    wanted: dict[str, list[str]] = {}
    for text in axes:
        axis, _, listed = text.partition("=")
        if axis not in known:
            raise UsageError(f"--axis: there is no axis {axis!r}; known ones: {', '.join(known)}.")
        levels = [level.strip() for level in listed.split(",")] if listed else list(known[axis])
        if unknown := [level for level in levels if level not in known[axis]]:
            raise UsageError(
                f"--axis: axis {axis} has no level {unknown[0]!r}; known ones: {', '.join(known[axis])}."
            )
        wanted[axis] = [level for level in known[axis] if level in levels]
    return [wanted[axis] for axis in known if axis in wanted]


def _lines(
    rows: Iterable[Sequence[int]],
    people: Sequence[str],
    scenarios: Sequence[tuple[str, int]],
    levels: Sequence[Sequence[str]],
) -> Iterable[bytes]:
    for person, scenario, *chosen in rows:
        task, number = scenarios[scenario]
        line: dict[str, object] = {"profile": people[person], "task": task, "scenario": number}
        if chosen:
            line["behaviour"] = ".".join(levels[axis][level] for axis, level in enumerate(chosen))
        yield orjson.dumps(line)


def _write(out: Path, lines: Iterable[bytes], *, force: bool) -> int:
    kept = []
    for line in lines:
        kept.append(line)
        if len(kept) > MOST_JOBS:
            raise UsageError(
                f"these are more than {MOST_JOBS:,} combinations, and a run holds its list in memory: name "
                "fewer profiles, scenarios or axes, or take --pairwise."
            )
    body = b"\n".join(kept) + b"\n"
    if out.is_file() and not force and out.read_bytes() != body:
        raise UsageError(f"{out} is there already and holds something else; choose another name, or --force.")
    with replacing(out) as file:
        file.write(body)
    return len(kept)
