"""`engine profiles refine` and `versions`: examples made with a person, and what each version brings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import click
from rich.console import Console

from engine.analysis.sections import Section, number, section
from engine.cli.plain_text import plain
from engine.cli.profiles_check import described, look_at
from engine.cli.profiles_plan import PlanOptions, config_of, plan_options, plan_sessions
from engine.cli.profiles_work import Interrupted, generate_pool
from engine.cli.section_tables import print_section
from engine.cli.shared_options import json_option, new_runs_dir_option, runs_of
from engine.errors import BadInput, UsageError
from engine.profiles.pool_file import read_pool
from engine.profiles.refine import Decision, Sample, Step, begin, go_on, read_decisions, steps_of
from engine.profiles.version import SHIPPED, Version, load_version, version_folder
from engine.runner.progress import RunProgress
from engine.runner.run_folder import RunFolder
from engine.schema.profile import Profile

_EDIT_NOTE = "# Change the texts; keep the labels. Nothing saved leaves the profile as it is.\n"


@click.command("refine")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(1, 1000), default=5, metavar="N", help="Profiles a version (5).")
@click.option(
    "--decisions", type=click.Path(path_type=Path), metavar="FILE",
    help="Decisions as JSON lines instead of asking on the terminal.",
)  # fmt: skip
@plan_options
@json_option
def refine_command(folder: Path, count: int, decisions: Path | None, as_json: bool, **options: object) -> int:
    """Generate from no example, decide on each profile, and let the accepted ones be the next examples.

    DIR keeps every version; the same command goes on with the latest. The first one has the aspects
    of --aspects, without its examples.
    """
    chosen = PlanOptions(**options)  # type: ignore[arg-type]
    config, config_dir = config_of(chosen)
    language = config.language
    steps = steps_of(folder, language)
    if not steps:
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file; name a folder, which is made where there is none.")
        start = version_folder(chosen.aspects, config.templates, config_dir)
        steps = [begin(folder, start, language)]
    try:
        # Before anything is asked for: a file that cannot be read should cost nothing.
        said = None if decisions is None else read_decisions(decisions, steps[-1].number)
        step = _with_pool(steps[-1], chosen, count, is_quiet=as_json)
        made = list(_ask(step)) if said is None else said
        following = _with_pool(go_on(step, made, language), chosen, count, is_quiet=as_json)
    except Interrupted as stop:
        return 128 + stop.number
    samples = [_sample(each) for each in (step, following)]
    if as_json:
        words = [each.decision for each in made]
        document = {
            "version": following.number, "folder": str(following.folder),
            "decisions": {word: words.count(word) for word in sorted(set(words))},
            "versions": [asdict(sample) for sample in samples],
        }  # fmt: skip
        click.echo(json.dumps(document))
        return 0
    print_section(Console(highlight=False), side_by_side(samples))
    click.echo(f"version {following.number} shows {len(following.version.examples)} examples; its pool:")
    for profile in following.profiles()[:2]:
        click.echo(described(profile) + "\n")
    click.echo(f"next: engine profiles refine {folder}   or use it: --aspects {following.folder}")
    return 0


def _with_pool(step: Step, chosen: PlanOptions, count: int, *, is_quiet: bool) -> Step:
    """The step with its pool; generated where it is not there yet."""
    if not step.pool.exists():
        options = replace(chosen, aspects=str(step.folder))
        _generate(options, RunFolder(step.folder / "work"), step.pool, count, is_quiet=is_quiet)
    return step


def _generate(options: PlanOptions, folder: RunFolder, path: Path, count: int, *, is_quiet: bool) -> None:
    # Short sessions, so that few profiles are of several regions already.
    options = replace(options, batch=max(1, min(options.batch, count // 4)), batches=1)
    config, config_dir = config_of(options)
    plan = plan_sessions(options, config, config_dir)
    generate_pool(folder, path, plan, config, count, RunProgress(noun="sessions"), is_quiet=is_quiet)


def _ask(step: Step) -> Iterator[Decision]:
    """Ask for each profile on the terminal; q ends the asking, and what was decided counts."""
    for profile in step.profiles():
        click.echo("\n" + described(profile))
        word = click.prompt(
            "[a]ccept, [e]dit, [r]eject, [q]uit", type=click.Choice(["a", "e", "r", "q"]), show_choices=False
        )
        if word == "q":
            return
        if word == "r":
            yield Decision(id=profile.profile_id, decision="reject", version=step.number)
        elif word == "a":
            yield Decision(id=profile.profile_id, decision="accept", version=step.number)
        else:
            changed = _edited(profile, step.version)
            yield Decision(
                id=profile.profile_id, decision="edit" if changed else "accept", aspects=changed,
                version=step.number,
            )  # fmt: skip


def _edited(profile: Profile, version: Version) -> dict[str, str]:
    """The texts that a person changed in their editor ($EDITOR)."""
    text = click.edit(_EDIT_NOTE + version.render(profile.aspects) + "\n", extension=".txt")
    if text is None:
        return {}
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) != len(version.aspects):
        raise BadInput(
            f"the edited profile has {len(lines)} lines, not {len(version.aspects)}. Edit it again."
        )
    said = {
        aspect.key: line.partition(":")[2].strip()
        for aspect, line in zip(version.aspects, lines, strict=True)
    }
    return {key: value for key, value in said.items() if value != profile.aspects[key]}


def _sample(step: Step) -> Sample:
    return Sample.of(f"version {step.number}", look_at(step.pool, None), len(step.version.examples))


def side_by_side(samples: Sequence[Sample]) -> Section:
    """Versions as columns: examples, lengths, aspects, diversity."""
    rows = [
        ("examples shown", *(str(each.examples) for each in samples)),
        ("profiles", *(str(each.profiles) for each in samples)),
        ("aspects", *(str(len(each.aspects)) for each in samples)),
        ("words a profile", *(f"{each.words:.1f}" for each in samples)),
        ("different words", *(str(each.vocabulary) for each in samples)),
    ]
    keys = dict.fromkeys(key for each in samples for key in each.aspects)
    for key in keys:
        cells = []
        for each in samples:
            words, distinct, evenness = each.aspects.get(key, (0.0, 0, None))
            cells.append(f"{words:.1f} / {distinct} / {number(evenness, 2)}" if key in each.aspects else "-")
        rows.append((key, *cells))
    note = "Aspects: words / different texts / evenness of categories."
    return section("Versions side by side", ("", *(each.name for each in samples)), rows, note)


@click.command("versions")
@click.option("--count", type=click.IntRange(1, 1000), default=20, metavar="N", help="Profiles each (20).")
@plan_options
@new_runs_dir_option
@json_option
def versions_command(count: int, runs_dir: Path, as_json: bool, **options: object) -> int:
    """Show the shipped versions side by side, with a sample pool of each.

    Six aspects without an example, with one of the first generation, and nine with a revised example.
    """
    chosen = PlanOptions(**options)  # type: ignore[arg-type]
    config, config_dir = config_of(chosen)
    samples, firsts = [], []
    try:
        for name in SHIPPED:
            version = load_version(name, config.language, config.templates, config_dir)
            folder = RunFolder(runs_of(config, runs_dir) / "profiles" / f"sample-{name}-{config.language}")
            path = folder.path / f"sample-{count}.jsonl"
            _generate(replace(chosen, aspects=name), folder, path, count, is_quiet=as_json)
            samples.append(Sample.of(name, look_at(path, None), len(version.examples)))
            firsts.append(
                (version, next(each for each in read_pool(path) if isinstance(each, Profile)), path)
            )
    except Interrupted as stop:
        return 128 + stop.number
    if as_json:
        click.echo(json.dumps({"versions": [asdict(sample) for sample in samples]}))
        return 0
    for version, profile, path in firsts:
        click.echo(f"== {version.name}: {version.title} ({path})")
        for example in version.examples:
            click.echo("example shown:\n" + plain(version.render(example)))
        click.echo("what came, for instance:\n" + described(profile) + "\n")
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 110)
    print_section(console, side_by_side(samples))
    return 0
