"""`engine runs`: list all runs, prune old ones, archive one, merge several, rescue a damaged one."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click

from engine.cli.imported_run import status_if_imported
from engine.cli.read_commands import opened, run_status
from engine.cli.shared_options import json_option, run_argument, runs_dir_option
from engine.config.run_address import run_address
from engine.dataset.build import write_dataset, write_summary
from engine.errors import EngineError, RunLocked, UsageError
from engine.journal.disk_space import megabytes
from engine.journal.inputs import read_inputs
from engine.journal.reader import Reader
from engine.runner.archive import archive_run
from engine.runner.merge import merge_runs
from engine.runner.prune import DAY_S, judge_runs, remove_run
from engine.runner.rescue import rescue_run
from engine.runner.run_folder import all_folders, existing_folder, open_folder


@click.group(invoke_without_command=True)
@runs_dir_option
@json_option
@click.pass_context
def runs(context: click.Context, runs_dir: Path, as_json: bool) -> int:
    """List all runs, the latest last; or prune, archive, merge or rescue them."""
    if context.invoked_subcommand is not None:
        for name, option in (("runs_dir", "--runs-dir"), ("config_file", "--config")):
            if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
                # It would be passed over in silence, and another folder pruned.
                raise UsageError(f"{option}: give it behind `{context.invoked_subcommand}`.")
        return 0
    rows: list[dict[str, object]] = []
    for folder in all_folders(runs_dir):
        try:
            if (imported := status_if_imported(folder)) is not None:
                rows.append(imported)
                continue
            with opened(runs_dir, folder.name) as (_, reader, inputs):
                rows.append(run_status(folder, reader, inputs))
        except EngineError as error:
            rows.append({"run": folder.name, "state": f"cannot be read: {error}", "ended": 0, "planned": 0})
    if as_json:
        click.echo(json.dumps(rows))
    elif not rows:
        click.echo(f"no runs in {runs_dir}. `engine run` makes the first one.")
    for row in [] if as_json else rows:
        click.echo(f"{row['run']:<32} {row['ended']:>7} of {row['planned']:<7} {row['state']}")
    return 0


@runs.command()
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="All but the N touched last.")
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Untouched for so long.")
@click.option("--unfinished", is_flag=True, help="Unfinished runs too.")
@click.option("--yes", is_flag=True, help="Remove them; without it they are only listed.")
@runs_dir_option
@json_option
def prune(
    keep: int | None, older_than: float | None, unfinished: bool, yes: bool, runs_dir: Path, as_json: bool
) -> int:
    """Remove old runs whole: replies that were paid for are gone then. Lists them unless --yes."""
    if (keep is None) == (older_than is None):
        raise UsageError("say which runs to remove: --keep N or --older-than DAYS, one of them.")
    verdicts = judge_runs(
        runs_dir,
        keep=keep,
        older_than_s=None if older_than is None else older_than * DAY_S,
        now=time.time(),
        with_unfinished=unfinished,
    )
    rows: list[dict[str, object]] = []
    for verdict in verdicts:
        reason = verdict.stays_because
        if yes and not reason:
            try:
                remove_run(verdict.folder, with_unfinished=unfinished)
            except RunLocked as error:
                reason = str(error)
        rows.append(
            {"run": verdict.folder.name, "bytes": verdict.size, "stays_because": reason or None,
             "removed": yes and not reason}
        )  # fmt: skip
    if as_json:
        click.echo(json.dumps(rows))
        return 0
    for row, verdict in zip(rows, verdicts, strict=True):
        size = megabytes(verdict.size)
        does = "removed" if yes else "to remove"
        if row["stays_because"]:
            does = f"stays: {row['stays_because']}"
        click.echo(f"{row['run']:<32} {size:>10} {does}")
    wanted = sum(not row["stays_because"] for row in rows)
    said = "removed" if yes else "to remove; nothing was touched, --yes removes"
    click.echo(f"{wanted} run{'' if wanted == 1 else 's'} {said}")
    return 0


@runs.command()
@run_argument
@click.option("--out", type=click.Path(path_type=Path), help="A new .tar.gz file; default: beside the run.")
@runs_dir_option
@json_option
def archive(run_name: str, out: Path | None, runs_dir: Path, as_json: bool) -> int:
    """Pack RUN into one file, consistently, also while a process works on it."""
    folder = existing_folder(runs_dir, run_name)
    path = archive_run(folder, out or folder.path.parent / f"{folder.name}.tar.gz")
    size = path.stat().st_size
    if as_json:
        click.echo(json.dumps({"run": folder.name, "file": str(path), "bytes": size}))
    else:
        click.echo(f"run {folder.name} packed into {path} ({megabytes(size)})")
        click.echo(f"put it back with: tar xzf {path} -C {folder.path.parent}")
    return 0


@runs.command()
@click.argument("new", metavar="NEW")
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@runs_dir_option
@json_option
def merge(new: str, names: tuple[str, ...], runs_dir: Path, as_json: bool) -> int:
    """Make the run NEW of all conversations of several RUNs that were made with the same content."""
    folder = open_folder(runs_dir, new)
    shared = merge_runs(folder, [existing_folder(runs_dir, name) for name in names])
    with closing(Reader(folder.journal)) as reader:
        counts = write_dataset(reader, read_inputs(reader), folder.conversations)
        write_summary(reader, counts, folder.summary)
    if as_json:
        facts = {"run": folder.name, "folder": str(folder.path), "ended": counts.conversations}
        click.echo(json.dumps(facts | {"planned": counts.planned, "in_several": shared}))
        return 0
    click.echo(
        f"run {folder.name}: {counts.conversations} of {counts.planned} conversations in {folder.path}"
    )
    if shared:
        click.echo(f"{shared} stood in more than one run, with the same replies, and were taken once.")
    if counts.conversations < counts.planned:
        click.echo(f"go on with: engine resume {run_address(folder.path)}")
    return 0


@runs.command()
@run_argument
@click.argument("new", metavar="NEW")
@runs_dir_option
@json_option
def rescue(run_name: str, new: str, runs_dir: Path, as_json: bool) -> int:
    """Make the run NEW of what is whole in RUN, whose journal is damaged. RUN itself is only read."""
    damaged, folder = open_folder(runs_dir, run_name), open_folder(runs_dir, new)
    if not damaged.path.is_dir():
        damaged = existing_folder(runs_dir, run_name)
    found = rescue_run(damaged, folder)
    if as_json:
        click.echo(json.dumps({"run": folder.name, "folder": str(folder.path), **asdict(found)}))
        return 0
    click.echo(
        f"run {folder.name}: {found.calls} calls and {found.outcomes} ended conversations in {folder.path}"
    )
    click.echo(
        f"lost: {found.missing} rows whose numbers are missing, and whatever lay behind the last one; "
        f"{found.undone} conversations had ended and go back to their last whole reply; {found.set_aside} "
        "replies stood behind a lost one and were left out."
    )
    click.echo(f"go on with: engine resume {run_address(folder.path)}")
    return 0
