"""Turns results into a Markdown page and, where matplotlib is installed, a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def markdown(results: Mapping[str, Any]) -> str:
    """The page."""
    machine = results["machine"]
    lines = [
        f"# Benchmark, {results['mode']}, {results['date']}",
        "",
        f"Measured on {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']:.0f} GB, "
        f"Python {machine['python']}; load average at the start {machine['load']:.1f}. Server and client "
        "share the machine. Medians, with the smallest and largest value of the repeats. CPU is user + "
        "system time of the client's process, without imports.",
        "",
        f"fdatasync of 16 KiB on the runs' disk: median {results['fsync']['median_ms']:.2f} ms, "
        f"p95 {results['fsync']['p95_ms']:.2f} ms.",
        "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in results["versions"].items()) + ".",
    ]
    if results["absent"]:
        lines += ["", "Absent: " + "; ".join(f"{k} ({v})" for k, v in results["absent"].items()) + "."]
    if "cpu" in results:
        lines += ["", "## CPU per call at zero latency", "", *_cpu_table(results["cpu"])]
    if "ideal" in results:
        lines += ["", "## Share of the ideal throughput (concurrency / latency)", ""]
        lines += [*_ideal_table(results["ideal"])]
    if "limits" in results:
        lines += ["", "## Use of limits", "", *_limits_table(results["limits"])]
    if "affinity" in results:
        lines += ["", "## Prefix-cache affinity", "", *_affinity_table(results["affinity"])]
    if "jobs_memory" in results:
        lines += ["", "## Peak memory of the engine against the number of jobs", ""]
        lines += _table(
            ("jobs", "MB while it works", "MB with the dataset built", "dataset, us of CPU a call"),
            [
                (
                    f"{row['jobs']:,}",
                    *(f"{row[k]:.0f}" for k in ("work_peak_mb", "peak_mb", "dataset_us_per_call")),
                )
                for row in results["jobs_memory"]
            ],
        )
    if "journal" in results:
        lines += ["", "## A run that goes on", "", *_journal_table(results["journal"])]
    return "\n".join(lines) + "\n"


def _cpu_table(rows: Sequence[Row]) -> list[str]:
    yardstick = {
        row["concurrency"]: row["cpu_us_per_call"]
        for row in rows
        if row["contender"] == "script" and "cpu_us_per_call" in row
    }
    cells = []
    for row in rows:
        if row["failure"]:
            cells.append((row["label"], str(row["concurrency"]), row["failure"][:80], "", "", "", ""))
            continue
        base = yardstick.get(row["concurrency"])
        cells.append(
            (
                row["label"],
                f"{row['concurrency']:,}",
                spread(row, "cpu_us_per_call", "{:.0f}"),
                f"{row['cpu_us_per_call'] / base:.2f}" if base else "",
                spread(row, "calls_per_s", "{:.0f}"),
                f"{row['peak_mb']:.0f}",
                f"{row['conversations']} x {row['repeats']}",
            )
        )
    head = ("client", "in flight", "CPU us a call", "x the script", "calls/s", "peak MB", "conversations")
    return _table(head, cells)


def _ideal_table(rows: Sequence[Row]) -> list[str]:
    cells = []
    for row in rows:
        setting = (row["label"], f"{row['latency_s']} s", f"{row['concurrency']:,}")
        if row["failure"]:
            cells.append((*setting, row["failure"][:80], "", "", "", "", ""))
            continue
        cells.append(
            (
                *setting,
                spread(row, "steady", "{:.3f}"),
                f"{row['start']:.3f}",
                f"{row['tail']:.3f}",
                f"{row['cpu_us_per_call']:.0f}",
                f"{row.get('work_peak_mb', row['peak_mb']):.0f}",
                f"{row['conversations']} x {row['repeats']}",
            )
        )
    head = (
        "client", "latency", "in flight", "steady share", "first 15 %", "last 15 %", "CPU us a call",
        "peak MB", "conversations",
    )  # fmt: skip
    return _table(head, cells)


def _limits_table(rows: Sequence[Row]) -> list[str]:
    head = (
        "server's limit", "known", "phase", "share used", "refused", "p95 / unloaded", "seconds",
    )  # fmt: skip
    return _table(
        head,
        [
            (
                row["name"],
                "yes" if row["is_known"] else "no",
                row["phase"],
                f"{row['share']:.3f}",
                f"{row['refused']} of {row['calls'] + row['refused']:,} ({row['refused_share']:.2%})",
                f"{row['p95_over_unloaded']:.2f}",
                f"{row['seconds']:.0f}",
            )
            for row in rows
        ],
    )


def _affinity_table(rows: Sequence[Row]) -> list[str]:
    head = (
        "endpoints",
        "prompt tokens cached",
        "of what can be had",
        "calls/s",
        "failed",
        "calls by replica",
    )
    return _table(
        head,
        [
            (
                row["name"],
                f"{row['cached_share']:.3f}",
                f"{row['of_attainable']:.3f}" if row["of_attainable"] == row["of_attainable"] else "",
                f"{row['calls_per_s']:.0f}",
                str(row["failed"]),
                " / ".join(map(str, row["by_replica"])),
            )
            for row in rows
        ],
    )


def _journal_table(journal: Row) -> list[str]:
    head = ("journal", "first call after, s", "CPU us a call", "peak MB")
    names = {
        "empty": "empty",
        "full": f"{journal['finished']:,} finished, {journal['rows']:,} rows, "
        f"{journal['journal_mb']:,.0f} MB",
    }
    return _table(
        head,
        [
            (
                names[kind],
                spread(journal[kind], "first_call_s", "{:.2f}"),
                spread(journal[kind], "cpu_us_per_call", "{:.0f}"),
                f"{journal[kind]['work_peak_mb']:.0f}",
            )
            for kind in ("empty", "full")
        ],
    )


def spread(row: Row, name: str, form: str) -> str:
    """`median (min-max)`."""
    values = row["all"][name]
    middle = form.format(row[name])
    if len(values) < 2:
        return middle
    return f"{middle} ({form.format(min(values))}-{form.format(max(values))})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]


def plot(results: Mapping[str, Any], path: Path) -> bool:
    """CPU per call and share of the ideal as bars; False where there is no matplotlib."""
    if find_spec("matplotlib") is None:
        return False
    import matplotlib  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415 - an extra

    matplotlib.use("Agg")
    from matplotlib import pyplot  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(13, 5), layout="constrained")
    cpu = [row for row in results.get("cpu", ()) if "cpu_us_per_call" in row]
    left.barh(
        [f"{row['label']}, {row['concurrency']:,}" for row in cpu], [row["cpu_us_per_call"] for row in cpu]
    )
    left.set_xscale("log")
    left.set_xlim(left=10)
    left.set_xlabel("client CPU per call at zero latency, us")
    ideal = [row for row in results.get("ideal", ()) if "steady" in row]
    right.barh(
        [f"{row['label']}, {row['latency_s']} s, {row['concurrency']:,}" for row in ideal],
        [row["steady"] for row in ideal],
    )
    right.set_xlim(0, 1)
    right.set_xlabel("share of the ideal throughput, steady window")
    for axes in (left, right):
        axes.invert_yaxis()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return True
