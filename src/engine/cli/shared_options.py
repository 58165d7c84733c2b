"""Options and arguments that several commands share, so that they mean the same everywhere."""

from __future__ import annotations

from pathlib import Path

import click

run_argument = click.argument("run_name", metavar="RUN")
runs_dir_option = click.option(
    "--runs-dir", type=click.Path(path_type=Path), default=Path("runs"), show_default=True,
    envvar="ENGINE_RUNS_DIR", show_envvar=True, help="Where runs lie.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a script to read.")
on_end_option = click.option(
    "--on-end", metavar="CMD", help="Command to run when the session has ended; see the README."
)
disk_option = click.option(
    "--no-disk-check", "guards_disk", is_flag=True, default=True, flag_value=False,
    help="Start and go on however little space the disk has left.",
)  # fmt: skip
