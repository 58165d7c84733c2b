"""The measurements. Each interleaves what it compares, so that a slow minute of the machine hits all alike.

Every function returns rows for the report: plain dictionaries, one for each thing and setting, with all
values of the repeats beside their median.
"""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.contenders import CONTENDERS, ENGINE, Contender, engine_command, run_contender
from benchmarks.journal_maker import make_finished_run
from benchmarks.processes import TEMPORARY, ClientFailed, run_client, running_server

Row = dict[str, Any]
Say = Callable[[str], None]


class CpuSetting(NamedTuple):
    """Zero latency: who, at which concurrency, how many conversations each, how often."""

    names: tuple[str, ...]
    concurrency: int
    conversations: int
    repeats: int


class IdealSetting(NamedTuple):
    """A fixed latency: conversations come in `waves` for each slot."""

    names: tuple[str, ...]
    concurrency: int
    latency_s: float
    waves: int
    repeats: int


def measure_cpu(settings: Sequence[CpuSetting], absent: Mapping[str, str], say: Say) -> list[Row]:
    """CPU per call and calls a second at zero latency."""
    kept = ("cpu_us_per_call", "calls_per_s", "server_us_per_call", "peak_mb", "calls", "unanswered")
    return [
        row
        for setting in settings
        for row in _repeated(
            setting.names,
            absent,
            setting.repeats,
            kept,
            {"concurrency": setting.concurrency, "conversations": setting.conversations},
            latency_s=0.0,
            say=say,
        )
    ]


def measure_ideal(settings: Sequence[IdealSetting], absent: Mapping[str, str], say: Say) -> list[Row]:
    """Share of concurrency / latency that is reached: in the steady window, at the start, in the tail."""
    rows = []
    for setting in settings:
        fields = {
            "concurrency": setting.concurrency,
            "conversations": setting.concurrency * setting.waves,
            "latency_s": setting.latency_s,
        }
        kept = (
            *("steady", "start", "tail", "overall", "cpu_us_per_call", "work_peak_mb", "peak_mb"),
            *("calls", "unanswered"),
        )
        rows += _repeated(
            setting.names, absent, setting.repeats, kept, fields, latency_s=setting.latency_s, say=say
        )
    return rows


def _repeated(
    names: Iterable[str],
    absent: Mapping[str, str],
    repeats: int,
    kept: Sequence[str],
    fields: Mapping[str, Any],
    *,
    latency_s: float,
    say: Say,
) -> list[Row]:
    """All contenders of one setting, interleaved."""
    contenders = [contender for contender in CONTENDERS if contender.name in names]
    values: dict[str, list[Row]] = {contender.name: [] for contender in contenders}
    failures: dict[str, str] = {name: f"absent: {reason}" for name, reason in absent.items()}
    with running_server(latency_s=latency_s) as server:
        for repeat in range(repeats):
            for contender in contenders:
                if contender.name in failures:
                    continue
                least_s = fields["conversations"] / fields["concurrency"] * 9 * latency_s
                timeout_s = 120 + 3 * least_s + 24 * fields["conversations"] * contender.pace / 1000
                try:
                    figures = run_contender(
                        contender,
                        server,
                        conversations=fields["conversations"],
                        concurrency=fields["concurrency"],
                        stop_before_dataset=True,
                        timeout_s=timeout_s,
                    )
                except ClientFailed as error:
                    failures[contender.name] = str(error)
                    say(f"{contender.label}: {error}")
                    continue
                if latency_s:
                    _add_shares(figures, fields["concurrency"] / latency_s)
                values[contender.name].append(figures)
                say(_line(contender, fields, repeat, figures))
    return [
        {
            "contender": contender.name,
            "label": contender.label,
            **fields,
            "failure": failures.get(contender.name, ""),
            **summary(values[contender.name], kept),
        }
        for contender in contenders
    ]


def _add_shares(figures: Row, ideal_per_s: float) -> None:
    pace = figures["server"]["pace"]
    for name in ("steady", "start", "tail", "overall"):
        figures[name] = pace[f"{name}_per_s"] / ideal_per_s


def _line(contender: Contender, fields: Mapping[str, Any], repeat: int, figures: Row) -> str:
    share = f", {figures['steady']:.3f} of the ideal" if "steady" in figures else ""
    return (
        f"{contender.label}, {fields['concurrency']} in flight, no. {repeat + 1}: "
        f"{figures['cpu_us_per_call']:.0f} us of CPU a call, {figures['calls_per_s']:.0f} calls/s{share}"
    )


def summary(values: Sequence[Mapping[str, Any]], kept: Sequence[str]) -> Row:
    """Medians, and under `all` every value."""
    row: Row = {"repeats": len(values), "all": {}}
    for name in kept:
        found = [float(value[name]) for value in values if value.get(name) is not None]
        if found:
            row[name] = statistics.median(found)
            row["all"][name] = found
    return row


def measure_fsync() -> dict[str, float]:
    """Milliseconds of an fdatasync after appending 16 KiB, where the runs lie."""
    path = TEMPORARY / "fsync"
    times = []
    with path.open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(16384))
            before = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - before) * 1000)
    path.unlink()
    times.sort()
    return {"median_ms": times[100], "p95_ms": times[190], "max_ms": times[-1]}


def measure_jobs_memory(counts: Sequence[int], say: Say) -> list[Row]:
    """The engine's peak memory against the number of jobs, while it works and with the dataset built."""
    rows = []
    with running_server() as server:
        for count in counts:
            figures = run_contender(ENGINE, server, conversations=count, concurrency=64)
            calls = figures["calls"]
            row = {
                "jobs": count,
                "work_peak_mb": figures["work_peak_mb"],
                "peak_mb": figures["peak_mb"],
                "dataset_us_per_call": figures["dataset_cpu_s"] / calls * 1e6,
            }
            rows.append(row)
            say(f"{count} jobs: {row['work_peak_mb']:.0f} MB at work, {row['peak_mb']:.0f} MB in all")
    return rows


def measure_journal(
    *, finished: int, calls_each: int, conversations: int, repeats: int, say: Say
) -> dict[str, Any]:
    """Time to the first call, and cost per call, of an empty run and of one with `finished` conversations."""
    runs_dir = TEMPORARY / "journals"
    shutil.rmtree(runs_dir, ignore_errors=True)
    values: dict[str, list[Row]] = {"empty": [], "full": []}
    with running_server() as server:
        base_url = server.base_urls[0]
        before = time.monotonic()
        make_finished_run(runs_dir / "full", conversations=finished, calls_each=calls_each, base_url=base_url)
        journal_mb = (runs_dir / "full" / "journal.sqlite").stat().st_size / 1e6
        took_s = time.monotonic() - before
        say(f"a journal of {finished * calls_each:,} calls, {journal_mb:.0f} MB, in {took_s:.0f} s")
        for repeat in range(repeats):
            for kind in ("empty", "full"):
                server.reset()
                report = TEMPORARY / f"{kind}.json"
                limit = conversations if kind == "empty" else finished + conversations * (repeat + 1)
                command = engine_command(
                    base_url,
                    runs_dir,
                    report,
                    limit=limit,
                    concurrency=64,
                    run=f"empty-{repeat}" if kind == "empty" else "full",
                )
                figures = run_client([*command, "--stop-before-dataset"], report, timeout_s=600)
                stats = server.stats()
                figures["first_call_s"] = stats["first_request_at"] - figures["started_at"]
                figures["cpu_us_per_call"] = figures["conversations_cpu_s"] / stats["replies"] * 1e6
                values[kind].append(figures)
                say(
                    f"{kind} journal: first call after {figures['first_call_s']:.2f} s, "
                    f"{figures['cpu_us_per_call']:.0f} us of CPU a call"
                )
    shutil.rmtree(runs_dir, ignore_errors=True)
    kept = ("first_call_s", "cpu_us_per_call", "work_peak_mb")
    return {
        "finished": finished,
        "rows": finished * calls_each,
        "journal_mb": journal_mb,
        **{kind: summary(found, kept) for kind, found in values.items()},
    }
