"""`engine adjust`: change limits, budget and concurrency of a run, or pause it, also while it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import click

from engine.cli.shared_options import json_option, run_argument, runs_dir_option
from engine.errors import UsageError
from engine.runner.adjust import Adjustment, adjust
from engine.runner.run_folder import existing_folder

_LIMIT = click.IntRange(min=0)


@click.command("adjust")
@run_argument
@click.option("--concurrency", type=click.IntRange(1, 100_000), metavar="N", help="Conversations in flight.")
@click.option("--requests-per-min", type=_LIMIT, metavar="N", help="0 takes the limit away.")
@click.option("--tokens-per-min", type=_LIMIT, metavar="N", help="0 takes the limit away.")
@click.option("--input-tokens-per-min", type=_LIMIT, metavar="N", help="0 takes the limit away.")
@click.option("--output-tokens-per-min", type=_LIMIT, metavar="N", help="0 takes the limit away.")
@click.option("--max-in-flight", type=_LIMIT, metavar="N", help="0 takes the limit away.")
@click.option(
    "--max-cost", "max_cost", type=click.FloatRange(min=0), metavar="USD",
    help="What the run may cost in all; 0 takes the limit away.",
)  # fmt: skip
@click.option("--max-tokens", type=_LIMIT, metavar="N", help="Tokens in all; 0 takes the limit away.")
@click.option("--endpoint", metavar="NAME", help="Whose limits, where there are several endpoints.")
@click.option("--model", metavar="NAME", help="Whose limits at the endpoint; else those of all its models.")
@click.option("--pause/--go-on", default=None, help="Send nothing new until --go-on; calls in the air land.")
@runs_dir_option
@json_option
def adjust_command(
    run_name: str,
    runs_dir: Path,
    as_json: bool,
    concurrency: int | None,
    max_cost: float | None,
    max_tokens: int | None,
    endpoint: str | None,
    model: str | None,
    pause: bool | None,
    **limits: int | None,
) -> int:
    """Change limits, budget or concurrency of RUN, or pause it; its process, if any, follows at once."""
    given = {key: value for key, value in limits.items() if value is not None}
    wanted = Adjustment(concurrency, given, endpoint, model, pause, max_cost, max_tokens)
    if wanted == Adjustment():
        raise UsageError("say what to change: --concurrency, a limit, --pause or --go-on.")
    folder = existing_folder(runs_dir, run_name)
    done = adjust(folder, wanted)
    if as_json:
        click.echo(json.dumps({"run": folder.name, "changes": done.changes, "pid": done.pid}))
        return 0
    for key, then, now in done.changes:
        click.echo(f"{key}: {_shown(then)} -> {_shown(now)}")
    if not done.changes:
        click.echo("nothing to change: it is so already.")
    if done.pid is not None:
        click.echo(f"process {done.pid}, which works on the run, was told.")
    else:
        click.echo(f"no process works on the run; only {folder.settings} was written, for the next session.")
    return 0


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
