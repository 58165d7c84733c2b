"""`engine import`: foreign conversations into a run of their own, to be counted, annotated and exported."""

from __future__ import annotations

import json
import time
from pathlib import Path

import anyio
import click

from engine.cli.shared_options import json_option, new_runs_dir_option
from engine.clock import SystemClock
from engine.config.run_address import run_address
from engine.dataset.field_mapping import parse_mapping, shipped_mappings
from engine.dataset.formats import FORMATS, find_format
from engine.dataset.import_run import ImportCounts, default_import_name, describe_files, import_files
from engine.dataset.source_files import stream_raw
from engine.errors import BadInput, UsageError
from engine.journal.imports import count_imports
from engine.journal.reader import Reader
from engine.runner.run_folder import RunFolder, open_folder
from engine.schema.dataset import Construction

DONE_WITH_FAILURES = 3


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--format",
    "form",
    metavar="FORMAT",
    help=(
        f"{', '.join(FORMATS)}, mapping, or a shipped mapping; default: told by the first record. "
        "With `mapping`, one FILE is the mapping's YAML."
    ),
)
@click.option("--name", help="Name of the run; default: the format and digits of what is imported.")
@click.option("--task", help="Task of conversations that name none.")
@click.option("--language", metavar="CODE", help="Language of conversations that name none, e.g. en.")
@click.option("--construction", type=click.Choice([each.value for each in Construction]), help="Who spoke.")
@click.option("--licence", help="Licence of the data, for exports.")
@click.option("--attribution", help="Whom exports have to name.")
@new_runs_dir_option
@json_option
def import_command(
    files: tuple[Path, ...],
    form: str | None,
    name: str | None,
    runs_dir: Path,
    as_json: bool,
    **told: str | None,
) -> int:
    """Import conversations from FILES (JSON Lines, JSON, or a folder of JSON files; gzip too) into a run.

    Records are kept as they came: `engine export RUN --format as-imported` gives them back. What looks odd is
    flagged, never dropped. The same command twice goes on where the first stopped, or says "complete".
    """
    started = time.monotonic()
    paths, settings = _settings(files, form)
    settings |= {key: value for key, value in told.items() if value}
    facts = describe_files(paths, settings)
    folder = open_folder(runs_dir, name or default_import_name(facts))
    folder.make()
    counts = anyio.run(import_files, folder.path, paths, facts, SystemClock())
    reader = Reader(folder.journal)
    records, bad = count_imports(reader)
    reader.close()
    if as_json:
        click.echo(json.dumps({
            "run": folder.name, "format": settings["format"], "conversations": records - bad,
            "imported_now": counts.conversations, "unusable": bad, "flags": dict(counts.flags),
            "problems": counts.problems, "was_complete": counts.was_complete,
            "seconds": round(time.monotonic() - started, 3),
        }))  # fmt: skip
    else:
        _report(folder, settings["format"], counts, records - bad, bad, time.monotonic() - started)
    if records == bad:
        raise BadInput(
            f"none of the {records} records holds a conversation in the format {settings['format']}."
        )
    return DONE_WITH_FAILURES if bad else 0


def _settings(files: tuple[Path, ...], form: str | None) -> tuple[list[Path], dict[str, str]]:
    """The files to import, and what they are read with."""
    paths = list(files)
    if form == "mapping":
        mappings = [path for path in paths if path.suffix in (".yaml", ".yml")]
        if len(mappings) != 1:
            raise UsageError(
                "--format mapping: name one .yaml file, the mapping, beside the files to import."
            )
        paths.remove(mappings[0])
        try:
            text = mappings[0].read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{mappings[0]}: cannot be read: {error}") from error
        settings = {"format": parse_mapping(text, source=str(mappings[0])).name, "mapping": text}
    elif form is None:
        if not (first := next(stream_raw(paths[0]), None)):
            raise BadInput(f"{paths[0]}: holds no record.")
        settings = {"format": find_format(*first, paths[0]).name}
    elif form in FORMATS:
        settings = {"format": form}
    elif form in shipped_mappings():
        settings = {"format": form, "mapping": shipped_mappings()[form]}
    else:
        known = ", ".join([*FORMATS, "mapping", *shipped_mappings()])
        raise UsageError(f"--format: there is no format {form!r}; known are {known}.")
    if not paths:
        raise UsageError("name at least one file to import.")
    return paths, settings


def _report(
    folder: RunFolder, form: str, counts: ImportCounts, conversations: int, bad: int, seconds: float
) -> None:
    if counts.was_complete:
        click.echo(f"run {folder.name} is complete: {conversations} conversations; nothing to import.")
    else:
        before = f" ({counts.already_there} records were there)" if counts.already_there else ""
        click.echo(
            f"{counts.conversations} conversations ({form}) imported into run {folder.name}{before} "
            f"in {seconds:.1f} s"
        )
    for flag, count in counts.flags.most_common():
        click.echo(f"  flag {flag:<20} {count}")
    for problem in counts.problems:
        click.echo(f"  {problem}", err=True)
    if bad:
        click.echo(
            f"  {bad} records hold no conversation; they are kept as they came, and never counted", err=True
        )
    click.echo(f"next: engine stats {run_address(folder.path)}")
