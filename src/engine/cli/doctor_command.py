"""`engine doctor`: whether each endpoint of a configuration answers, and how its answer was understood."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import anyio
import click

from engine.cli.run_options import ModelOptions, build_config
from engine.cli.serving import loop_options, serving_endpoints
from engine.cli.shared_options import json_option
from engine.clock import SystemClock
from engine.config.settings import RunConfig
from engine.llm.rate_headers import SeenLimits
from engine.logs import SECRETS
from engine.runner.doctor import Examination, asking_stages, examine, questions

_SHOWN = 100


@click.command()
@click.argument("config_file", metavar="[CONFIG]", required=False, type=click.Path(path_type=Path))
@click.option("--base-url", metavar="URL", help="The endpoint, where no CONFIG names one.")
@click.option("--simulator", metavar="MODEL", help="The user simulator's model.")
@click.option("--assistant", metavar="MODEL", help="The assistant's model.")
@click.option("--key-env", metavar="NAME", help="Environment variable that holds the endpoint's key.")
@json_option
def doctor(
    config_file: Path | None,
    base_url: str | None,
    simulator: str | None,
    assistant: str | None,
    key_env: str | None,
    as_json: bool,
) -> int:
    """Send one tiny call to each endpoint of CONFIG for each model, and show what came of it.

    Each call is paid for. The exit code is 0 where all were understood, else that of a run that met the
    worst of them: 75 try later, 77 key refused, 78 configuration.
    """
    config, _ = build_config(config_file, {}, ModelOptions(base_url, simulator, assistant, key_env))
    found = anyio.run(_examine_all, config, backend_options=loop_options())
    if as_json:
        click.echo(SECRETS.hide(json.dumps([_as_json(examination) for examination in found])))
    else:
        for examination in found:
            click.echo(SECRETS.hide("\n".join(_describe(examination))) + "\n")
        failed = sum(examination.failure is not None for examination in found)
        click.echo(f"{len(found)} calls, {failed} failed" if found else "no stage names an endpoint")
    return max((examination.exit_code for examination in found), default=0)


async def _examine_all(config: RunConfig) -> list[Examination]:
    """One after the other, so that latencies are not each other's."""
    found = []
    async with anyio.create_task_group() as group, serving_endpoints(config, group) as endpoints:
        for name, stages in questions(config, endpoints):
            settings = asking_stages(config)[stages[0]]
            has_system = config.conversation.setup == "modern"
            found.append(
                await examine(
                    name, endpoints[name], stages, settings, config.transport, SystemClock(),
                    has_system=has_system,
                )
            )  # fmt: skip
        group.cancel_scope.cancel()
    return found


def _describe(examination: Examination) -> Iterator[str]:
    reply = examination.reply
    yield f"{examination.endpoint} for {', '.join(examination.stages)}: {examination.format}"
    yield f"  address   {examination.url}"
    served = "" if reply is None or reply.served_model == examination.model else (
        f", served as {reply.served_model or '(no name)'}"
    )  # fmt: skip
    yield f"  model     {examination.model}{served}"
    if examination.latency_s is not None:
        first_s = examination.first_s
        first = "" if first_s is None else f" (the first piece of the stream after {first_s:.3f} s)"
        yield f"  latency   {examination.latency_s:.3f} s{first}, HTTP {examination.status}"
        yield f"  limits    {_limits(examination.limits)}"
    if reply is not None:
        usage = reply.usage
        asked = f"{usage.prompt_tokens} in ({usage.cached_tokens} cached)"
        yield f"  tokens    {asked}, {usage.completion_tokens} out"
        text = " ".join(reply.text.split())
        yield f"  reply     {text[:_SHOWN]!r}, finish reason {reply.finish_reason}"
        if reply.reasoning:
            yield f"  reasoning {len(reply.reasoning)} characters, kept apart"
    if examination.failure is None:
        yield "  understood"
    else:
        yield f"  FAILED    {examination.failure} {examination.advice}".rstrip()


def _limits(seen: SeenLimits) -> str:
    parts = [
        f"{limit:,} {what}/min" + ("" if left is None else f" ({left:,} left)")
        for what, limit, left in (
            ("requests", seen.requests_per_min, seen.remaining_requests),
            ("tokens", seen.tokens_per_min, seen.remaining_tokens),
            ("input tokens", seen.input_tokens_per_min, seen.remaining_input_tokens),
            ("output tokens", seen.output_tokens_per_min, seen.remaining_output_tokens),
        )
        if limit is not None
    ]
    return ", ".join(parts) or "none named in the reply's headers"


def _as_json(examination: Examination) -> dict[str, object]:
    reply, limits, failure = examination.reply, examination.limits, examination.failure
    return {
        "endpoint": examination.endpoint,
        "stages": examination.stages,
        "model": examination.model,
        "format": examination.format,
        "url": examination.url,
        "status": examination.status,
        "latency_s": examination.latency_s,
        "first_s": examination.first_s,
        "requests_per_min": limits.requests_per_min,
        "tokens_per_min": limits.tokens_per_min,
        "input_tokens_per_min": limits.input_tokens_per_min,
        "output_tokens_per_min": limits.output_tokens_per_min,
        "served_model": reply and reply.served_model,
        "text": reply and reply.text,
        "finish_reason": reply and reply.finish_reason,
        "reasoning_chars": len(reply.reasoning) if reply else None,
        "prompt_tokens": reply and reply.usage.prompt_tokens,
        "cached_tokens": reply and reply.usage.cached_tokens,
        "completion_tokens": reply and reply.usage.completion_tokens,
        "failure": None if failure is None else str(failure),
        "advice": examination.advice,
        "exit_code": examination.exit_code,
    }
