"""`python -m benchmarks.run --quick` or `--full`: measures the engine beside other clients.

Results go to `benchmarks/results/` as JSON and Markdown, and as a plot where matplotlib is installed.
`--only cpu` (or another of PARTS) measures a part, `--without inspect-ai` leaves a client out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.affinity import measure_affinity
from benchmarks.contenders import CONTENDERS, find_absent, write_prompts
from benchmarks.limits import measure_limits
from benchmarks.measure import (
    CpuSetting,
    IdealSetting,
    measure_cpu,
    measure_fsync,
    measure_ideal,
    measure_jobs_memory,
    measure_journal,
)
from benchmarks.processes import RESULTS, TEMPORARY
from benchmarks.report import markdown, plot

from engine.version import __version__

PARTS = ("cpu", "ideal", "limits", "affinity", "memory", "journal")
_FAST = ("engine", "engine-compiled", "script")
_OPENAI = ("openai-aiohttp", "openai")
_SLOW = (*_OPENAI, "litellm", "inspect-ai", "curator")


class Settings(NamedTuple):
    """What one mode measures."""

    cpu: tuple[CpuSetting, ...]
    ideal: tuple[IdealSetting, ...]
    limits_s: float
    affinity: dict[str, int]
    jobs: tuple[int, ...]
    journal: dict[str, int]


QUICK = Settings(
    cpu=(
        CpuSetting(_FAST, 64, 1000, 5),
        CpuSetting(("engine-httpx",), 64, 500, 3),
        CpuSetting(_SLOW, 64, 128, 3),
        CpuSetting(_FAST, 1024, 2048, 5),
        CpuSetting(("openai-aiohttp",), 1024, 1024, 1),
        CpuSetting(_FAST, 4096, 8192, 3),
    ),
    ideal=(
        IdealSetting(_FAST, 64, 0.5, 8, 1),
        IdealSetting(_FAST, 1024, 0.5, 8, 1),
        IdealSetting(_FAST, 4096, 2.0, 4, 1),
        IdealSetting(("engine",), 10_000, 5.0, 4, 1),
    ),
    limits_s=90.0,
    affinity={"conversations": 600, "concurrency": 128, "repeats": 1},
    jobs=(500, 1000, 2000),
    journal={"finished": 100_000, "calls_each": 1, "conversations": 500, "repeats": 3},
)
# What costs milliseconds a call needs fewer of them to tell.
FULL = Settings(
    cpu=(
        CpuSetting(_FAST, 64, 1000, 7),
        CpuSetting(("engine-httpx",), 64, 1000, 3),
        CpuSetting(_SLOW, 64, 250, 3),
        CpuSetting(_FAST, 1024, 2048, 7),
        CpuSetting(("engine-httpx",), 1024, 1024, 2),
        CpuSetting((*_OPENAI, "curator"), 1024, 1024, 1),
        CpuSetting(_FAST, 4096, 8192, 3),
        CpuSetting(("openai-aiohttp",), 4096, 4096, 1),
    ),
    ideal=(
        IdealSetting(_FAST, 64, 0.5, 8, 2),
        IdealSetting(("engine-httpx", *_OPENAI), 64, 0.5, 8, 1),
        IdealSetting(_FAST, 1024, 0.5, 8, 2),
        IdealSetting(("engine-httpx", *_OPENAI), 1024, 0.5, 4, 1),
        IdealSetting(_FAST, 4096, 2.0, 5, 2),
        IdealSetting(_FAST, 10_000, 5.0, 4, 1),
    ),
    limits_s=300.0,
    affinity={"conversations": 1500, "concurrency": 256, "repeats": 3},
    jobs=(1000, 10_000, 50_000),
    journal={"finished": 125_000, "calls_each": 8, "conversations": 1000, "repeats": 5},
)


def main() -> int:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description="The engine beside other clients.")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--quick", action="store_true", help="minutes")
    mode.add_argument("--full", action="store_true", help="an hour and more")
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--without", action="append", default=[], choices=[c.name for c in CONTENDERS])
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    settings, name = (QUICK, "quick") if options.quick else (FULL, "full")
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {line}", file=sys.stderr, flush=True)

    shutil.rmtree(TEMPORARY, ignore_errors=True)
    TEMPORARY.mkdir(parents=True)
    write_prompts(TEMPORARY / "prompts.jsonl")
    stem = "-".join([name, *(options.only or [])])
    options.results.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    # After each part, since a whole run takes more than an hour and may be cut off.
    for results in measure_all(settings, name, options.only or PARTS, options.without, say):
        text = json.dumps(results, indent=1) + "\n"
        (options.results / f"{stem}.json").write_text(text, encoding="utf-8")
        (options.results / f"{stem}.md").write_text(markdown(results), encoding="utf-8")
    if not plot(results, options.results / f"{stem}.png"):
        say("no plot: matplotlib is not installed, or none of these parts has one")
    print(markdown(results))
    shutil.rmtree(TEMPORARY, ignore_errors=True)
    return 0


def measure_all(
    settings: Settings, name: str, parts: Sequence[str], without: list[str], say: Any
) -> Iterator[dict[str, Any]]:
    """What has been measured, after each of the parts asked for."""
    wanted = [c.name for c in CONTENDERS if c.name not in without] if {"cpu", "ideal"} & set(parts) else []
    say("preparing environments")
    versions, absent = find_absent(wanted)
    absent |= dict.fromkeys(without, "left out")
    results: dict[str, Any] = {
        "mode": name,
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "versions": {"engine": __version__, **versions},
        "absent": absent,
        "fsync": measure_fsync(),
    }
    work: dict[str, tuple[str, Callable[[], Any]]] = {
        "cpu": ("cpu", lambda: measure_cpu(settings.cpu, absent, say)),
        "ideal": ("ideal", lambda: measure_ideal(settings.ideal, absent, say)),
        "limits": ("limits", lambda: measure_limits(settings.limits_s, say)),
        "affinity": ("affinity", lambda: measure_affinity(**settings.affinity, say=say)),
        "memory": ("jobs_memory", lambda: measure_jobs_memory(settings.jobs, say)),
        "journal": ("journal", lambda: measure_journal(**settings.journal, say=say)),
    }
    for part, (section, measure) in work.items():
        if part in parts:
            results[section] = measure()
            yield results


def machine() -> dict[str, Any]:
    """What it was measured on."""
    cpu = platform.processor() or platform.machine()
    memory_gb = 0.0
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
        memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except OSError:
        pass
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gb": memory_gb,
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    sys.exit(main())
