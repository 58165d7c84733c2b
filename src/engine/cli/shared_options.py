"""Options and arguments that several commands share, so that they mean the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from engine.config.load import load_config
from engine.config.settings import RunConfig

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

run_argument = click.argument("run_name", metavar="RUN")
new_runs_dir_option = click.option(
    "--runs-dir", type=click.Path(path_type=Path), default=Path("runs"), show_default=True,
    envvar="ENGINE_RUNS_DIR", show_envvar=True, help="Where runs lie.",
)  # fmt: skip


def _look_up_runs(context: click.Context, _: click.Parameter, file: Path | None) -> None:
    """Make the file's `output.runs` the default of `--runs-dir`."""
    runs = None if file is None else load_config(file).output.runs
    if runs is not None:
        context.default_map = {**(context.default_map or {}), "runs_dir": runs}


_config_option = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", is_eager=True,
    expose_value=False, callback=_look_up_runs, help="Configuration whose output.runs says where runs lie.",
)  # fmt: skip


def runs_dir_option(command: CommandT) -> CommandT:
    """`--runs-dir`, and `--config`, which finds the runs where `engine run FILE` put them."""
    return _config_option(new_runs_dir_option(command))


def runs_of(config: RunConfig, runs_dir: Path) -> Path:
    """Where a new run lies: what was typed or exported wins over the configuration, that over the default."""
    source = click.get_current_context().get_parameter_source("runs_dir")
    is_said = source is not click.core.ParameterSource.DEFAULT
    return runs_dir if is_said or config.output.runs is None else config.output.runs


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a script to read.")
on_end_option = click.option(
    "--on-end", metavar="CMD", help="Command to run when the session has ended; see the README."
)
disk_option = click.option(
    "--no-disk-check", "guards_disk", is_flag=True, default=True, flag_value=False,
    help="Start and go on however little space the disk has left.",
)  # fmt: skip
labels_author_option = click.option(
    "--author", metavar="NAME", help="Whose intents, ratings and verdicts; default: the first there is."
)
tables_file_option = click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE",
    help="Write there: JSON if the name ends in .json, else Markdown.",
)  # fmt: skip
