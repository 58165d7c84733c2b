"""`engine rehearse`: the offline LLM endpoint, alone, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import click

from engine.rehearsal.server import run_forever
from engine.rehearsal.settings import Fixed, RehearsalSettings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, default=8900, show_default=True, help="0 takes a free one.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--defect-rate", type=float, default=0.13, show_default=True, help="Share of conversations.")
@click.option("--latency", type=float, default=0.0, show_default=True, metavar="S", help="Seconds per reply.")
@click.option("--request-log", type=click.Path(path_type=Path), help="Append each request to this file.")
@click.option("--exit-with-stdin", is_flag=True, help="End when standard input does.")
def rehearse(
    host: str,
    port: int,
    seed: int,
    defect_rate: float,
    latency: float,
    request_log: Path | None,
    exit_with_stdin: bool,
) -> None:
    """Serve the rehearsal LLM in OpenAI's format on loopback; prints its base URL first."""
    settings = RehearsalSettings(
        seed=seed, defect_rate=defect_rate, delay=Fixed(latency), request_log=request_log
    )
    run_forever(settings, host, port, exit_with_stdin=exit_with_stdin)
