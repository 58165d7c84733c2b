"""`engine`: the commands, and the one place where an error becomes a message and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback

import click

from engine.cli.adjust_command import adjust_command
from engine.cli.agreement_command import agreement_command
from engine.cli.annotate_command import annotate_command
from engine.cli.baseline_command import baseline
from engine.cli.bench_command import bench
from engine.cli.compare_command import compare_command
from engine.cli.doctor_command import doctor
from engine.cli.estimate_command import estimate
from engine.cli.exit_codes import BUG, find_engine_error
from engine.cli.experiment_command import experiment
from engine.cli.export_command import export
from engine.cli.import_command import import_command
from engine.cli.init_command import init
from engine.cli.matrix_command import matrix_command
from engine.cli.profiles_commands import profiles
from engine.cli.read_commands import show, status, verify
from engine.cli.rehearse_command import rehearse
from engine.cli.report_command import report as report_page
from engine.cli.run_commands import resume, run
from engine.cli.runs_commands import runs
from engine.cli.scenarios_commands import scenarios
from engine.cli.stats_command import stats
from engine.errors import DiskFull
from engine.logs import SECRETS
from engine.runner.open_files import raise_file_limit
from engine.version import __version__, is_compiled


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__ + " (compiled)" * is_compiled(), prog_name="engine")
def engine() -> None:
    """Generate task-based recommendation conversations with two LLMs.

    `engine run` needs nothing else: it rehearses with an embedded offline endpoint.
    """


# In the order of use; help sorts them by name.
COMMANDS: tuple[click.Command, ...] = (
    init,
    doctor,
    bench,
    profiles,
    scenarios,
    estimate,
    run,
    resume,
    adjust_command,
    status,
    show,
    verify,
    runs,
    export,
    import_command,
    annotate_command,
    stats,
    report_page,
    agreement_command,
    compare_command,
    matrix_command,
    baseline,
    experiment,
    rehearse,
)
for command in COMMANDS:
    engine.add_command(command)


def main() -> None:
    """Run the command line and exit with the code that docs/design.md lists."""
    _open_closed_streams()
    raise_file_limit()
    sys.exit(exit_code_of(sys.argv[1:]))


def exit_code_of(arguments: list[str]) -> int:
    """Run one command; what went wrong is said on stderr."""
    try:
        result = engine.main(arguments, prog_name="engine", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # `engine show ... | head`: the reader has seen enough.
        sys.stderr.close()
        return 0
    except SystemExit as error:
        # What click makes of a closed pipe.
        is_pipe = isinstance(error.__context__, OSError) and error.__context__.errno == errno.EPIPE
        return 0 if is_pipe else report(error)
    except BaseException as error:  # noqa: BLE001 - whatever it is becomes a message and an exit code
        return report(error)


def _open_closed_streams() -> None:
    """Give what was started with `>&-` somewhere to write; else the next file opened would be its output."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def report(error: BaseException) -> int:
    """Say what happened; the exit code for it."""
    known = find_engine_error(error)
    if known is not None:
        click.echo(SECRETS.hide(f"engine: {known}"), err=True)
        return known.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        # The engine's own files have errors of their own: it is what this command prints to.
        click.echo("engine: the disk is full: not all of the output could be written there.", err=True)
        return DiskFull.exit_code
    text = "".join(traceback.format_exception(error))
    click.echo(SECRETS.hide(text), err=True)
    click.echo("engine: this is a bug; what was acknowledged is safe, and `engine resume` goes on.", err=True)
    return BUG
