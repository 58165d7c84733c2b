"""`engine bench`: how many conversations at a time an endpoint is worth, by the main job's own calls."""

from __future__ import annotations

import importlib.util
import signal
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import click
import orjson

from engine.cli.budget_options import with_budget
from engine.cli.readiness import check_ready
from engine.cli.run_options import ModelOptions, build_config
from engine.cli.serving import loop_options, serving_endpoints
from engine.cli.shared_options import json_option
from engine.clock import SystemClock
from engine.config.endpoint_settings import EndpointSettings
from engine.config.matrix import variants_of
from engine.errors import UsageError
from engine.journal.inputs import RunInputs
from engine.llm.budget import Budget
from engine.llm.drain import Drain
from engine.llm.prices import pico_of, prices_of
from engine.llm.transport import origin_of
from engine.runner.endpoints import open_models
from engine.runner.prepare import prepare
from engine.runner.sweep import Level, Quantiles, SweepResult, suggested, sweep
from engine.version import __version__
from engine.wire.formats import FORMATS

_BAR = 24
_HEAD = "in flight   calls/s  tokens/s   E2E p50       p95       p99  cached  refused"
_STREAM_HEAD = "  TTFT p50       p95  TPOT p50       p95"


@click.command("bench")
@click.argument("config_file", metavar="[CONFIG]", required=False, type=click.Path(path_type=Path))
@click.option("--base-url", metavar="URL", help="OpenAI-format endpoint, e.g. http://127.0.0.1:8000/v1.")
@click.option("--model", metavar="MODEL", help="Both sides' model.")
@click.option("--simulator", metavar="MODEL", help="The user simulator's model.")
@click.option("--assistant", metavar="MODEL", help="The assistant's model.")
@click.option("--key-env", metavar="NAME", help="Environment variable that holds the endpoint's key.")
@click.option("--local", is_flag=True, help="A small real model on this machine (extra [local]).")
@click.option("--transport", metavar="T", help="asyncio or httpx.")
@click.option(
    "--levels", metavar="N,N,...", help="Conversations in flight.  [default: 1, 2, 4, ... up to --most]"
)
@click.option("--most", type=click.IntRange(1), default=1024, show_default=True, metavar="N",
              help="The most conversations in flight.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0.1), default=10.0, show_default=True, metavar="S",
              help="How long each level is measured.")  # fmt: skip
@click.option(
    "--max-calls", type=click.IntRange(1), metavar="N", help="End after the level in which N calls were made."
)
@click.option("--stream", is_flag=True, help="Ask for streams: TTFT and TPOT are measured, too.")
@click.option("--max-cost", type=float, metavar="USD", help="Stop before it has cost more.")
@click.option("--max-tokens", type=int, metavar="N", help="Stop before it has used more.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE",
              help="Write a plot (.png or .svg; extra [bench]).")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the figures as JSON.")
@json_option
def bench(
    config_file: Path | None,
    base_url: str | None,
    model: str | None,
    simulator: str | None,
    assistant: str | None,
    key_env: str | None,
    local: bool,
    levels: str | None,
    most: int,
    seconds: float,
    max_calls: int | None,
    stream: bool,
    max_cost: float | None,
    max_tokens: int | None,
    plot: Path | None,
    out: Path | None,
    as_json: bool,
    **options: object,
) -> int:
    """Measure an endpoint with conversations of the main job at rising concurrency, and suggest one.

    Each level is measured for --seconds once it has settled. It ends where more in flight brings no more, or
    where the endpoint refuses. Nothing is kept but what --out and --plot write; the calls are real, and paid
    for where they cost. Without an endpoint, it measures the embedded rehearsal and so this engine.
    """
    if plot is not None and importlib.util.find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib: pip install 'recsim-engine[bench]'.")
    wanted = _levels(levels, most)
    config, config_dir = build_config(
        config_file,
        # What the endpoint can do is to be seen, and not what the search for it finds.
        {**options, "adaptive": False, "limit": None, "repeat": None},
        ModelOptions(base_url, simulator or model, assistant or model, key_env, local),
    )
    config = with_budget(config, None, max_cost, max_tokens).model_copy(
        # So that whoever looks whether all can be kept in flight looks for the highest level.
        update={"limit": None, "matrix": None, "concurrency": wanted[-1]}
    )
    if stream:
        asked = {name: _streamed(name, settings) for name, settings in config.endpoints.items()}
        config = config.model_copy(update={"endpoints": asked})
    inputs = prepare(config, config_dir=config_dir)
    check_ready(inputs)
    is_streamed = stream or any(settings.stream for settings in config.endpoints.values())
    if not as_json:
        click.echo(_HEAD + (_STREAM_HEAD if is_streamed else ""))
    result = anyio.run(
        _measure, inputs, wanted, seconds, max_calls, stream, as_json, backend_options=loop_options()
    )
    best = suggested(result.levels)
    facts = _as_dict(result, best, inputs)
    if out is not None:
        out.write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2) + b"\n")
    if plot is not None:
        _plot(result.levels, best, plot)
    if as_json:
        click.echo(orjson.dumps(facts, option=orjson.OPT_INDENT_2))
    else:
        _print_verdict(result, best)
    if result.stopped_by is not None:
        raise result.stopped_by
    return 0


def _streamed(name: str, settings: EndpointSettings) -> EndpointSettings:
    if FORMATS[settings.format].stream is None:
        raise UsageError(
            f"--stream: endpoint {name} has the format {settings.format}, which is not streamed."
        )
    return settings.model_copy(update={"stream": True})


def _levels(text: str | None, most: int) -> list[int]:
    if text is None:
        levels = [1]
        while levels[-1] * 2 <= most:
            levels.append(levels[-1] * 2)
        return levels
    try:
        levels = [int(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if not levels or levels[0] < 1 or levels != sorted(set(levels)):
        raise UsageError(f"--levels {text}: give rising whole numbers, such as 8,16,32,64.")
    return levels


async def _measure(
    inputs: RunInputs,
    levels: Sequence[int],
    seconds: float,
    most_calls: int | None,
    stream: bool,
    is_quiet: bool,
) -> SweepResult:
    clock, drain = SystemClock(), Drain()

    def say(level: Level) -> None:
        if not is_quiet:
            click.echo(_line(level))

    async def drain_on_signal() -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                if drain.is_requested:
                    raise KeyboardInterrupt
                drain.request()

    async with (
        anyio.create_task_group() as group,
        serving_endpoints(inputs.config, group) as endpoints,
        AsyncExitStack() as stack,
    ):
        group.start_soon(drain_on_signal)
        if stream:
            endpoints = {name: _streamed(name, settings) for name, settings in endpoints.items()}
        models = await open_models(stack, inputs.config, endpoints, clock, {})
        result = await sweep(
            inputs, models[""], levels, seconds=seconds, clock=clock, drain=drain, most_calls=most_calls,
            budget=_budget(inputs), on_level=say,
        )  # fmt: skip
        group.cancel_scope.cancel()
    return result


def _budget(inputs: RunInputs) -> Budget | None:
    """What the configuration or the options allow; this command's own, since nothing of it is kept."""
    config = inputs.config
    if not config.budget.is_set:
        return None
    asked = [variant.settings for variant in variants_of(config)]
    cost = config.budget.max_cost_usd
    return Budget(
        prices_of(config, asked, config.endpoints),
        max_cost=None if cost is None else pico_of(cost),
        max_tokens=config.budget.max_tokens,
        again="engine bench",
    )


def _line(level: Level) -> str:
    cached = level.cached_tokens / level.prompt_tokens if level.prompt_tokens else 0.0
    pieces = "".join(
        "".join(f"{value:>10.{digits}f}" for value in times[:2])
        for times, digits in ((level.ttft_s, 3), (level.tpot_s, 4))
        if times is not None
    )
    return (
        f"{level.concurrency:>9,} {level.calls_per_s:>9,.1f} {level.tokens_per_s:>9,.0f} {level.p50_s:>9.3f} "
        f"{level.p95_s:>9.3f} {level.p99_s:>9.3f} {cached:>7.0%} {level.refused_share:>8.1%}"
    ) + pieces


def _print_verdict(result: SweepResult, best: Level | None) -> None:
    if not result.levels:
        return
    most = max(level.calls_per_s for level in result.levels) or 1.0
    click.echo("")
    for level in result.levels:
        bar = "#" * round(_BAR * level.calls_per_s / most)
        mark = "  <- the knee" if level is best else ""
        click.echo(f"{level.concurrency:>9,} {bar:<{_BAR}} {level.calls_per_s:,.1f} calls/s{mark}")
    click.echo("")
    if best is None:
        click.echo("At every level more than 1 % of the tries were refused: begin lower (--levels 1,2,4).")
        return
    first = result.levels[0]
    click.echo(
        f"suggested: --concurrency {best.concurrency} ({best.calls_per_s:,.1f} calls/s; p95 {best.p95_s:.3f} "
        f"s, {best.p95_s / first.p95_s if first.p95_s else 1:.1f} times that with {first.concurrency} in "
        f"flight). {result.calls:,} calls were made."
    )


def _as_dict(result: SweepResult, best: Level | None, inputs: RunInputs) -> dict[str, object]:
    config = inputs.config
    return {
        "format": "recsim-bench/1",
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "engine": __version__,
        "transport": config.transport,
        # Without one, the engine's own rehearsal or small model was measured.
        "endpoints": {name: origin_of(settings.base_url) for name, settings in config.endpoints.items()},
        # The knee is the lowest level that nearly reaches the best goodput, and so what is suggested.
        "suggested_concurrency": None if best is None else best.concurrency,
        "models": {name: stage.model for name, stage in config.stages.items()},
        "calls": result.calls,
        "levels": [
            {
                "concurrency": level.concurrency,
                "seconds": level.seconds,
                "calls": level.calls,
                "goodput_calls_per_s": level.calls_per_s,
                "completion_tokens_per_s": level.tokens_per_s,
                "prompt_tokens": level.prompt_tokens,
                "cached_tokens": level.cached_tokens,
                "e2e_latency_s": {"p50": level.p50_s, "p95": level.p95_s, "p99": level.p99_s},
                "ttft_s": _named(level.ttft_s),
                "tpot_s": _named(level.tpot_s),
                "refused": dict(level.refused),
                "refused_share": level.refused_share,
            }
            for level in result.levels
        ],
    }


def _named(times: Quantiles | None) -> dict[str, float] | None:
    return None if times is None else times._asdict()


def _plot(levels: Sequence[Level], best: Level | None, path: Path) -> None:
    import matplotlib  # noqa: PLC0415 - an extra

    matplotlib.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
    flight = [level.concurrency for level in levels]
    left.plot(flight, [level.calls_per_s for level in levels], marker="o")
    left.set_ylabel("calls/s")
    for name, values in (
        ("p50", [level.p50_s for level in levels]),
        ("p95", [level.p95_s for level in levels]),
        ("p99", [level.p99_s for level in levels]),
    ):
        right.plot(flight, values, marker="o", label=f"E2E {name}")
    if firsts := [(level.concurrency, level.ttft_s.p50) for level in levels if level.ttft_s is not None]:
        right.plot(*zip(*firsts, strict=True), marker="o", linestyle="--", label="TTFT p50")
    right.set_ylabel("latency, s")
    right.legend()
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("conversations in flight")
        if best is not None:
            axes.axvline(best.concurrency, linestyle=":", color="grey")
    figure.savefig(path)
    pyplot.close(figure)
