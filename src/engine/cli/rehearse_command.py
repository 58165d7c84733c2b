"""`engine rehearse`: the offline LLM endpoint, alone, in a process of its own."""

from __future__ import annotations

from math import inf
from pathlib import Path

import click

from engine.errors import UsageError
from engine.rehearsal.faults_script import FAULTS, read_script
from engine.rehearsal.server import run_forever
from engine.rehearsal.settings import Delay, Fixed, LogNormal, PerToken, RehearsalSettings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8900, show_default=True, help="0 takes a free one."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--run-seed", type=int, default=0, show_default=True, help="Seed of the runs that will ask.")
@click.option("--defect-rate", type=float, default=0.13, show_default=True, help="Share of conversations.")
@click.option("--latency", type=float, default=0.0, show_default=True, metavar="S", help="Seconds per reply.")
@click.option("--sigma", type=float, metavar="X", help="Log-normal latency: --latency is its median.")
@click.option("--per-token", type=float, metavar="S", help="Seconds per reply token, after --latency.")
@click.option("--request-log", type=click.Path(path_type=Path), help="Append each request to this file.")
@click.option("--faults", type=click.Path(path_type=Path), metavar="SCRIPT", help="Let requests meet faults.")
@click.option("--list-faults", is_flag=True, help="Name the faults that a script may use.")
@click.option("--exit-with-stdin", is_flag=True, help="End when standard input does.")
def rehearse(
    host: str,
    port: int,
    seed: int,
    run_seed: int,
    defect_rate: float,
    latency: float,
    sigma: float | None,
    per_token: float | None,
    request_log: Path | None,
    faults: Path | None,
    list_faults: bool,
    exit_with_stdin: bool,
) -> None:
    """Serve the rehearsal LLM on loopback, in OpenAI's, Anthropic's and Gemini's formats; prints its address.

    The address is the base URL of the OpenAI and Anthropic formats; Gemini's ends in /v1beta instead of /v1.
    """
    if list_faults:
        for fault in FAULTS.values():
            click.echo(f"{fault.name:<24}{fault.what}")
        return
    if sigma is not None and per_token is not None:
        raise UsageError("--sigma and --per-token: give one of them.")
    for option, value in (("--latency", latency), ("--sigma", sigma), ("--per-token", per_token)):
        if value is not None and not 0 <= value < inf:
            raise UsageError(f"{option} (it is {value}): must be at least 0, and finite.")
    delay: Delay = Fixed(latency)
    if sigma is not None:
        delay = LogNormal(latency, sigma)
    elif per_token is not None:
        delay = PerToken(per_token, latency)
    settings = RehearsalSettings(
        seed=seed, run_seed=run_seed, defect_rate=defect_rate, delay=delay, request_log=request_log
    )
    script = None if faults is None else read_script(faults)
    try:
        run_forever(settings, host, port, script=script, exit_with_stdin=exit_with_stdin)
    except OSError as error:
        raise UsageError(f"cannot listen on {host}, port {port}: {error.strerror or error}.") from error
