"""`engine export`: the conversations of a run, in a file; those of an imported run as they came."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import click
from rich.console import Console

from engine.cli.display import shape_table
from engine.cli.read_commands import opened
from engine.cli.shared_options import json_option, run_argument, runs_dir_option
from engine.dataset.build import write_dataset
from engine.dataset.engine_record import ENGINE
from engine.dataset.import_export import default_export_name, write_as_imported
from engine.errors import UsageError
from engine.journal.imports import ImportFacts, read_import_facts
from engine.journal.reader import Reader
from engine.runner.run_folder import RunFolder, existing_folder


@click.command()
@run_argument
@click.option("--format", "form", metavar="FORMAT", help="Default: the engine's, or that of the import.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write; default: in the run's export/.")
@click.option("--include", type=click.Choice(["dropped"]), help="Write dropped conversations too.")
@runs_dir_option
@json_option
def export(
    run_name: str, form: str | None, out: Path | None, include: str | None, runs_dir: Path, as_json: bool
) -> int:
    """Write the conversations of RUN that have ended, at any moment, also while it goes on.

    The records of an imported run come back in the format they came in, byte for byte.
    """
    folder = existing_folder(runs_dir, run_name)
    with closing(Reader(folder.journal)) as reader:
        facts = read_import_facts(reader)
    own = ENGINE.name if facts is None else facts.settings["format"]
    if form not in (None, own):
        raise UsageError(f"--format: run {folder.name} can be written as {own}, not as {form!r}.")
    if facts is not None:
        return _export_import(folder, facts, out, as_json=as_json)
    with opened(runs_dir, run_name) as (_, reader, inputs):
        path = out or folder.export / "conversations.jsonl"
        counts = write_dataset(
            reader, inputs, path, wanted=lambda record: record.is_kept or include == "dropped"
        )
    kept = counts.kept.row().conversations
    written = counts.conversations if include else kept
    if as_json:
        described = {"file": str(path), "written": written, "kept": kept, "ended": counts.conversations}
        click.echo(json.dumps(described | {"planned": counts.planned}))
        return 0
    Console(highlight=False).print(shape_table(counts))
    click.echo(
        f"{written} conversations written to {path} ({counts.conversations} of {counts.planned} ended)"
    )
    return 0


def _export_import(folder: RunFolder, facts: ImportFacts, out: Path | None, *, as_json: bool) -> int:
    path = out or folder.export / default_export_name(facts)
    written = write_as_imported(folder.path, path)
    if as_json:
        click.echo(json.dumps({"file": str(path), "written": written, "format": facts.settings["format"]}))
    else:
        click.echo(f"{written} records written to {path}, as they came ({facts.settings['format']})")
    return 0
