"""`engine profiles check`, `show` and `stats`: what is in a pool, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from engine.analysis.libraries import require_libraries
from engine.cli.plain_text import plain
from engine.cli.section_tables import print_section
from engine.cli.shared_options import json_option
from engine.config.load import load_config
from engine.dataset.build import replacing
from engine.errors import BadInput, UsageError
from engine.profiles.check import PoolCheck, check_pool, document_of
from engine.profiles.contradictions import load_rules
from engine.profiles.coverage import load_categories
from engine.profiles.plot import draw_pool
from engine.profiles.pool_file import Fault, read_pool
from engine.profiles.regions import load_target
from engine.profiles.similarity import NEAR
from engine.profiles.tables import associations_of, coverage_of, findings_of, reference_of, target_of
from engine.schema.profile import ASPECTS, Profile

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
_WIDTH = 110
_LABELS = {aspect.key: aspect.label_en for aspect in ASPECTS}
pool_argument = click.argument("pool", metavar="FILE", type=click.Path(path_type=Path))
_config_option = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE",
    help="Configuration whose templates hold categories and contradictions of your own.",
)  # fmt: skip


@click.command("check")
@pool_argument
@click.option(
    "--near", type=click.FloatRange(0.3, 1.0), default=NEAR, show_default=True, metavar="S",
    help="Overlap of words from which two profiles count as one.",
)  # fmt: skip
@click.option(
    "--target", type=click.Path(path_type=Path), metavar="FILE",
    help="Wished-for shares of genders and ages (YAML).",
)  # fmt: skip
@click.option("--reference", type=click.Path(path_type=Path), metavar="FILE", help="A pool to compare with.")
@click.option("--strict", is_flag=True, help="Exit with 65 where anything was found, not only for bad lines.")
@_config_option
@json_option
def check_command(
    pool: Path,
    near: float,
    target: Path | None,
    reference: Path | None,
    strict: bool,
    config_file: Path | None,
    as_json: bool,
) -> int:
    """Say what is wrong with a pool, what it repeats, and what it covers.

    FILE is a pool or a published dataset's conversations. Bad lines give exit code 65.
    """
    found = look_at(pool, config_file, near, target, reference)
    if as_json:
        click.echo(json.dumps(document_of(found)))
    else:
        console = _console()
        for each in findings_of(found):
            print_section(console, each)
        print_section(console, coverage_of(found))
        print_section(console, associations_of(found))
        if found.targets:
            print_section(console, target_of(found))
        if found.references:
            print_section(console, reference_of(found))
        click.echo(
            f"{found.profiles} profiles, {found.faults.count} bad lines, "
            f"{found.duplicates.count} duplicates, {found.near.count} near duplicates, "
            f"{found.contradictions.count} contradictions to look at"
        )
    is_flawed = found.duplicates.count + found.near.count + found.contradictions.count > 0
    return BadInput.exit_code if found.faults.count or (strict and is_flawed) else 0


def look_at(
    pool: Path, config_file: Path | None, near: float = NEAR, target: Path | None = None,
    reference: Path | None = None,
) -> PoolCheck:  # fmt: skip
    """Check a pool with the shipped or configured rules. Raises BadInput where it holds no profile at all."""
    templates, folder = None, None
    if config_file is not None:
        templates, folder = load_config(config_file).templates, config_file.parent.absolute()
    found = check_pool(
        read_pool(pool), load_categories(templates, folder), load_rules(templates, folder), near=near,
        target=None if target is None else load_target(target),
        reference=None if reference is None else read_pool(reference),
    )  # fmt: skip
    if not found.profiles and not found.faults.count:
        raise BadInput(f"{pool}: the file holds no profile. See profiles/README.md.")
    return found


@click.command("show")
@pool_argument
@click.argument("names", metavar="[ID]...", nargs=-1)
@click.option("--limit", type=click.IntRange(min=1), default=5, metavar="N", help="The first N (5).")
def show_command(pool: Path, names: tuple[str, ...], limit: int) -> int:
    """Print profiles of a pool: the first ones, or those with these ids."""
    wanted, shown = set(names), 0
    for each in read_pool(pool):
        if isinstance(each, Fault):
            continue
        if wanted and each.profile_id not in wanted:
            continue
        wanted.discard(each.profile_id)
        click.echo(("" if not shown else "\n") + described(each))
        shown += 1
        if (names and not wanted) or (not names and shown == limit):
            break
    if wanted:
        raise BadInput(
            f"{pool}: there is no profile {', '.join(sorted(wanted))}. `engine profiles show {pool}` lists "
            "the first."
        )
    if not shown:
        raise BadInput(f"{pool}: the file holds no profile. `engine profiles check {pool}` says why.")
    return 0


def described(profile: Profile) -> str:
    """A profile as a person reads it: its id, where it comes from, the numbered lines."""
    source = ", ".join(f"{name} {value}" for name, value in profile.provenance.items())
    lines = [profile.profile_id + (f" ({source})" if source else "")]
    for position, (key, value) in enumerate(profile.aspects.items(), 1):
        label = _LABELS.get(key, key.replace("_", " ").capitalize())
        lines.append(f"{position}. {label}: {value}")
    return plain("\n".join(lines))


@click.command("stats")
@pool_argument
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE",
    help="Also draw genders, ages, evenness and associations: .png or .svg (extra [analysis]).",
)  # fmt: skip
@_config_option
@json_option
def stats_command(pool: Path, plot: Path | None, config_file: Path | None, as_json: bool) -> int:
    """Say how varied a pool is, in figures and as a picture."""
    kind = None if plot is None else plot.suffix.removeprefix(".").lower()
    if kind not in (None, "png", "svg"):
        raise UsageError(f"--plot: {plot} is neither .png nor .svg.")
    if kind is not None:
        require_libraries("--plot", "matplotlib")
    found = look_at(pool, config_file)
    if plot is not None and kind is not None:
        picture = draw_pool(found, pool.name, kind)
        with replacing(plot) as file:
            file.write(picture)
    if as_json:
        document = document_of(found)
        click.echo(json.dumps({key: document[key] for key in ("profiles", "coverage", "associations")}))
        return 0
    console = _console()
    print_section(console, coverage_of(found))
    print_section(console, associations_of(found))
    click.echo(f"{found.profiles} profiles" + (f"; picture: {plot}" if plot is not None else ""))
    return 0


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)
    return console
