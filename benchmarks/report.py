"""Turns results into a Markdown page and, where matplotlib is installed, a plot: a panel for each part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

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
        if held := _memory_by_concurrency(results["ideal"]):
            lines += ["", "## Peak memory of the engine against concurrency", ""]
            lines += _table(
                ("in flight", "MB while it works", "KB for each beyond the first line's"),
                [(f"{flight:,}", f"{mb:.0f}", kb) for flight, mb, kb in held],
            )
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
            cells.append((row["label"], f"{row['concurrency']:,}", row["failure"][:80], "", "", "", ""))
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
    head = (
        "client",
        "in flight",
        "CPU us a call",
        "x the script",
        "goodput, calls/s",
        "peak MB",
        "conversations",
    )
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


def _memory_by_concurrency(rows: Sequence[Row]) -> list[tuple[int, float, str]]:
    """(in flight, MB, KB for each conversation more than in the first line) of the engine, smallest first."""
    peaks: dict[int, float] = {}
    for row in rows:
        if row["contender"] == "engine" and "work_peak_mb" in row:
            flight = row["concurrency"]
            peaks[flight] = max(row["work_peak_mb"], peaks.get(flight, 0.0))
    found = sorted(peaks.items())
    return [
        (flight, mb, f"{(mb - found[0][1]) / (flight - found[0][0]) * 1000:.0f}" if place else "")
        for place, (flight, mb) in enumerate(found)
    ]


def _limits_table(rows: Sequence[Row]) -> list[str]:
    head = (
        "server's limit", "known", "phase", "share used", "refused", "E2E p95 / unloaded", "seconds",
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
        "goodput, calls/s",
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
    """A panel of bars for each part that was measured; False where there is no matplotlib, or nothing."""
    found = [panel for panel in _panels(results) if panel.bars]
    if find_spec("matplotlib") is None or not found:
        return False
    import matplotlib  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415 - an extra

    matplotlib.use("Agg")
    from matplotlib import pyplot  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415

    lines = (len(found) + 1) // 2
    figure, places = pyplot.subplots(lines, 2, figsize=(14, 5 * lines), layout="constrained", squeeze=False)
    for axes in places.flat[len(found) :]:
        axes.set_visible(False)
    for axes, panel in zip(places.flat, found, strict=False):
        axes.barh([name for name, _ in panel.bars], [value for _, value in panel.bars])
        axes.set_xlabel(panel.what)
        axes.invert_yaxis()
        if panel.is_log:
            axes.set_xscale("log")
            axes.set_xlim(left=10)
        if panel.mark is not None:
            axes.axvline(panel.mark, linestyle=":", color="grey")
    machine = results["machine"]
    figure.suptitle(f"{results['mode']}, {results['date']}: {machine['cpu']}, {machine['cores']} cores")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return True


class _Panel(NamedTuple):
    """Bars by name; `mark` is a line across them."""

    what: str
    bars: Sequence[tuple[str, float]]
    is_log: bool = False
    mark: float | None = None


def _panels(results: Mapping[str, Any]) -> Iterator[_Panel]:
    cpu = [row for row in results.get("cpu", ()) if "cpu_us_per_call" in row]
    yield _Panel(
        "client CPU per call at zero latency, us",
        [(f"{row['label']}, {row['concurrency']:,}", row["cpu_us_per_call"]) for row in cpu],
        is_log=True,
    )
    ideal = [row for row in results.get("ideal", ()) if "steady" in row]
    yield _Panel(
        "share of the ideal throughput, steady window",
        [(f"{row['label']}, {row['latency_s']} s, {row['concurrency']:,}", row["steady"]) for row in ideal],
        mark=1.0,
    )
    yield _Panel(
        "share of the server's limit that is used",
        [(f"{row['name']}, {row['phase']}", row["share"]) for row in results.get("limits", ())],
        mark=1.0,
    )
    yield _Panel(
        "share of prompt tokens from the prefix cache",
        [(row["name"], row["cached_share"]) for row in results.get("affinity", ()) if not row["repeat"]],
    )
    yield _Panel(
        "peak memory of the engine by conversations in flight, MB",
        [(f"{flight:,} in flight", mb) for flight, mb, _ in _memory_by_concurrency(results.get("ideal", ()))],
    )
    yield _Panel(
        "peak memory of the engine by jobs, 64 in flight, MB",
        [(f"{row['jobs']:,} jobs", row["work_peak_mb"]) for row in results.get("jobs_memory", ())],
    )
