"""`engine`: the commands, and the one place where an error becomes a message and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback

import click

from engine.cli.commands_on_use import CommandsOnUse, Origin
from engine.cli.exit_codes import BUG, find_engine_error
from engine.errors import DiskFull
from engine.logs import SECRETS
from engine.runner.open_files import raise_file_limit
from engine.version import __version__, is_compiled

# In the order of use; help sorts them by name. The last of each is the beginning of the command's own help.
COMMANDS = {
    "init": Origin(
        "init_command", "init",
        "Write DIR/engine.yaml, with every key explained, and copy templates and profiles to edit.",
    ),
    "doctor": Origin(
        "doctor_command", "doctor",
        "Send one tiny call to each endpoint of CONFIG for each model, and show what came of it.",
    ),
    "bench": Origin(
        "bench_command", "bench",
        "Measure an endpoint with conversations of the main job at rising concurrency, and suggest one.",
    ),
    "profiles": Origin(
        "profiles_commands", "profiles",
        "User profiles: let an LLM write them, check, show and compare pools, refine what is asked for.",
    ),
    "scenarios": Origin(
        "scenarios_commands", "scenarios",
        "Tasks and their scenarios: list, show, check and render what templates make of them.",
    ),
    "estimate": Origin(
        "estimate_command", "estimate",
        "What the rest of a run will take: tokens, money and time, with an interval.",
    ),
    "run": Origin(
        "run_commands", "run",
        "Hold every conversation of the plan, or go on with it.",
    ),
    "resume": Origin(
        "run_commands", "resume",
        "Go on with RUN where it stopped; by default with the latest unfinished run.",
    ),
    "adjust": Origin(
        "adjust_command", "adjust_command",
        "Change limits, budget or concurrency of RUN, or pause it; its process, if any, follows at once.",
    ),
    "status": Origin(
        "read_commands", "status",
        "How far RUN is, and what a resume will still cost.",
    ),
    "show": Origin(
        "read_commands", "show",
        "Show one CONVERSATION of RUN, ended or not, whole.",
    ),
    "verify": Origin(
        "read_commands", "verify",
        "Check every row's checksum, and that each finished conversation replays from its own requests.",
    ),
    "runs": Origin(
        "runs_commands", "runs",
        "List all runs, the latest last; or prune, archive, merge or rescue them.",
    ),
    "export": Origin(
        "export_command", "export",
        "Write the conversations of RUN_OR_FILE that have ended, at any moment, also while the run goes on.",
    ),
    "import": Origin(
        "import_command", "import_command",
        "Import conversations from FILES (JSON Lines, JSON, or a folder of JSON files; gzip too) into a run.",
    ),
    "annotate": Origin(
        "annotate_command", "annotate_command",
        "Let judges annotate RUN's conversations, held or imported; the same command goes on after a stop.",
    ),
    "stats": Origin(
        "stats_command", "stats",
        "Count RUN_OR_FILE: Table 1 (raw and kept), 2 and 3, Figure 6, hallucinated replies.",
    ),
    "report": Origin(
        "report_command", "report",
        "Write one self-contained HTML page about RUN_OR_FILE: tables, figures, conversations.",
    ),
    "agreement": Origin(
        "agreement_command", "agreement_command",
        "Compare all who judged the same turns or conversations: judges, people, the data's own labels.",
    ),
    "compare": Origin(
        "compare_command", "compare_command",
        "Put two datasets side by side: lengths, diversity, intents, ratings, manners, likeness to people.",
    ),
    "matrix": Origin(
        "matrix_command", "matrix_command",
        "Compare the cells of a matrix: rounds, lengths, ends, defects, objections, cost, ratings.",
    ),
    "baseline": Origin(
        "baseline_command", "baseline",
        "Write conversations made from templates: the system asks, the user responds. No model is asked.",
    ),
    "experiment": Origin(
        "experiment_command", "experiment",
        "Repeat the paper's experiments on generated or imported data.",
    ),
    "rehearse": Origin(
        "rehearse_command", "rehearse",
        "Serve the rehearsal LLM on loopback, in OpenAI's, Anthropic's and Gemini's formats;"
        " prints its address.",
    ),
}  # fmt: skip


@click.group(
    cls=CommandsOnUse,
    origins=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__ + " (compiled)" * is_compiled(), prog_name="engine")
def engine() -> None:
    """Generate task-based recommendation conversations with two LLMs.

    `engine run` needs nothing else: it rehearses with an embedded offline endpoint.
    """


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
