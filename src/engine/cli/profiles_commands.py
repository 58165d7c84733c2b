"""`engine profiles`: pools of users, written by an LLM, checked and shown."""

from __future__ import annotations

import json
import shlex
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click

from engine.cli.display import describe_duration
from engine.cli.plain_text import plain
from engine.cli.profiles_check import check_command, show_command, stats_command
from engine.cli.profiles_derive import derive_command
from engine.cli.profiles_plan import (
    PlanOptions,
    config_of,
    folder_of,
    plan_options,
    plan_sessions,
)
from engine.cli.profiles_refine import refine_command, versions_command
from engine.cli.profiles_work import Interrupted, generate_pool
from engine.cli.shared_options import disk_option, json_option, new_runs_dir_option
from engine.journal.reader import Reader
from engine.profiles.acceptance import Acceptance
from engine.profiles.embedding import MeaningIndex
from engine.profiles.generate import Generated
from engine.profiles.regions import load_target
from engine.profiles.session import STAGE_NAME
from engine.profiles.similarity import NEAR
from engine.runner.progress import RunProgress
from engine.runner.run_folder import RunFolder

DONE_WITH_FAILURES = 3
_SHOWN = 3
_SHOWN_CHARS = 160


@click.group()
def profiles() -> None:
    """User profiles: let an LLM write them, check, show and compare pools, refine what is asked for."""


for command in (derive_command, refine_command, versions_command, check_command, show_command, stats_command):
    profiles.add_command(command)


@profiles.command("generate")
@click.option(
    "--count", type=click.IntRange(1, 10_000_000), required=True, metavar="N", help="Profiles wanted."
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Pool to write.  [default: in the run]"
)
@plan_options
@click.option(
    "--target", type=click.Path(path_type=Path), metavar="FILE",
    help="Wished-for shares of genders and ages (YAML).",
)  # fmt: skip
@click.option(
    "--near", type=click.FloatRange(0.3, 1.0), default=NEAR, show_default=True, metavar="S",
    help="Overlap of words from which two profiles count as one.",
)  # fmt: skip
@click.option(
    "--meaning", type=click.FloatRange(0.5, 1.0), metavar="S",
    help="Likeness of meaning from which two count as one (extra [profiles]).",
)  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Take up again sessions that failed or stayed incomplete.")
@disk_option
@new_runs_dir_option
@json_option
def generate_command(
    count: int,
    out: Path | None,
    target: Path | None,
    near: float,
    meaning: float | None,
    retry_failed: bool,
    guards_disk: bool,
    runs_dir: Path,
    as_json: bool,
    **options: object,
) -> int:
    """Write a pool of N different profiles; the same command goes on after a stop.

    Many sessions side by side, each asked about other people; what repeats an earlier profile, exactly or
    nearly, does not count. Without an endpoint in the configuration the engine's own rehearsal answers.
    """
    wanted = None if target is None else load_target(target)
    chosen = PlanOptions(**options)  # type: ignore[arg-type]
    config, config_dir = config_of(chosen)
    plan = plan_sessions(chosen, config, config_dir, wanted)
    folder = folder_of(chosen.run_name, plan, config, runs_dir)
    similar = None if meaning is None else MeaningIndex(meaning)
    folder.make()
    path = out or folder.path / "profiles.jsonl"
    progress = RunProgress(noun="sessions")
    try:
        acceptance, result = generate_pool(
            folder, path, plan, config, count, progress, retry_failed=retry_failed, guards_disk=guards_disk,
            is_quiet=as_json, near=near, target=wanted, similar=None if similar is None else similar.take,
        )  # fmt: skip
    except Interrupted as stop:
        return 128 + stop.number
    report(folder, path, acceptance, result, progress, as_json=as_json)
    return 0 if acceptance.counts.accepted >= count else DONE_WITH_FAILURES


def report(
    folder: RunFolder,
    path: Path,
    acceptance: Acceptance,
    result: Generated,
    progress: RunProgress,
    *,
    as_json: bool,
) -> None:
    """What came of it: accepted, rejected and unread with the first texts, and where everything lies."""
    counts = acceptance.counts
    with closing(Reader(folder.journal)) as reader:
        totals = reader.totals(STAGE_NAME)
    if as_json:
        document = {
            "run": folder.name, "pool": str(path), "wanted": acceptance.wanted,
            "sessions": counts.sessions, "replies": counts.replies, "read": counts.read,
            "accepted": counts.accepted, "rejected": counts.rejected, "unread": counts.unread,
            "tolerated": counts.tolerated,
            "gave_up": acceptance.gave_up, "sessions_asked_now": result.sessions_asked,
            "calls": totals.replies, "failed_calls": totals.failed, "prompt_tokens": totals.prompt_tokens,
            "completion_tokens": totals.completion_tokens,
            "unread_texts": [{"place": place, **asdict(piece)} for place, piece in acceptance.unread],
            "rejected_profiles": [asdict(each) for each in acceptance.rejected],
        }  # fmt: skip
        click.echo(json.dumps(document))
        return
    duration = describe_duration(time.monotonic() - progress.started_at)
    click.echo(
        f"{counts.accepted} of {acceptance.wanted} profiles accepted, of {counts.read} read in "
        f"{counts.replies} replies of {counts.sessions} sessions "
        f"({result.sessions_asked} asked now, in {duration})"
    )
    click.echo(
        f"  {totals.replies} calls, {totals.prompt_tokens} tokens in, {totals.completion_tokens} out; "
        f"what lies beyond the last wanted profile is in the journal only"
    )
    for title, reasons in (
        ("rejected", counts.rejected), ("unread", counts.unread), ("replies with oddities", counts.tolerated),
    ):  # fmt: skip
        if reasons:
            click.echo(f"  {title}: " + ", ".join(f"{why} {n}" for why, n in sorted(reasons.items())))
    for place, piece in acceptance.unread[:_SHOWN]:
        text = plain(" / ".join(piece.text.split("\n")))[:_SHOWN_CHARS]
        click.echo(f"    {place}: {piece.reason}" + (f" ({plain(piece.detail)})" if piece.detail else ""))
        click.echo(f"      {text}")
    if acceptance.gave_up is not None:
        click.echo(f"ended early: {acceptance.gave_up}. A higher --near, more varied regions or another "
                   "model may bring more.")  # fmt: skip
    click.echo(f"pool: {path}")
    click.echo(f"next: engine profiles check {shlex.quote(str(path))}")
