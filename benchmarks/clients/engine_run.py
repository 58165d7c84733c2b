"""The engine as its users run it: `engine run ...`, with marks at the beginning and the end of its parts.

The whole command runs in this process, journal, report and dataset included; the marks only read the CPU
clock. `--stop-before-dataset` leaves after the work, for runs of which only that part is measured, and
`--profile` writes a cProfile of the work.
"""
# mypy: disable-error-code="attr-defined"

from __future__ import annotations

import argparse
import cProfile
import os
import resource
import sys
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.clients.talk import Meter, peak_mb, raise_file_limit

import engine.cli.run_commands as commands
import engine.llm.pool as pool
import engine.runner.run as runner
from engine.cli.main import exit_code_of


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def forget_places() -> None:
    """Send every call to the endpoint with the fewest in flight, as a plain load balancer does."""

    def choose_anew(self: Any, placement: Any, now: float, *, avoid: Any = None) -> Any:
        usable = [endpoint for endpoint in self.endpoints if pool._is_usable(endpoint, now)]
        others = [endpoint for endpoint in usable if endpoint is not avoid] or usable
        placement.move_to(min(others, key=lambda endpoint: endpoint.in_flight, default=None))
        return placement.endpoint

    pool.EndpointPool.choose = choose_anew  # type: ignore[method-assign]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--stop-before-dataset", action="store_true")
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--no-affinity", action="store_true", help="each call goes where the fewest are")
    options, arguments = parser.parse_known_args()
    raise_file_limit()
    meter = Meter()
    first: dict[str, float] = {}
    more: dict[str, object] = {}
    work_on_run, hold = commands.work_on_run, runner.hold_conversation

    async def marked_hold(*given: Any, **named: Any) -> Any:
        if not first:
            first.update(cpu_s=cpu_s(), at=time.monotonic())
            runner.hold_conversation = hold  # once is enough
        return await hold(*given, **named)

    async def marked_work(*given: Any, **named: Any) -> Any:
        profiler = cProfile.Profile() if options.profile else None
        meter.start()
        loop_start = time.thread_time()
        if profiler:
            profiler.enable()
        try:
            return await work_on_run(*given, **named)
        finally:
            loop_cpu_s = time.thread_time() - loop_start
            if profiler:
                profiler.disable()
                profiler.dump_stats(options.profile)
            end = cpu_s()
            meter.stop()
            # What is left is the journal's writer, whose thread has ended by now.
            more.update(writer_cpu_s=meter.cpu_s - loop_cpu_s)
            more.update(work_peak_mb=peak_mb(), loop_cpu_s=loop_cpu_s)
            if first:
                more.update(
                    first_conversation_at=first["at"],
                    conversations_cpu_s=end - first["cpu_s"],
                    conversations_wall_s=time.monotonic() - first["at"],
                )

    def marked_build(*given: Any, **named: Any) -> Any:
        if options.stop_before_dataset:
            meter.write(options.report, **more)
            sys.stdout.flush()
            os._exit(0)
        # Loaded here, as the engine does it: after the work, and not within what is measured of either.
        after_work = import_module("engine.cli.after_work")
        write_dataset = after_work.write_dataset

        def marked_dataset(*given: Any, **named: Any) -> Any:
            before = cpu_s()
            try:
                return write_dataset(*given, **named)
            finally:
                more.update(dataset_cpu_s=cpu_s() - before)

        after_work.write_dataset = marked_dataset
        return after_work.build(*given, **named)

    if options.no_affinity:
        forget_places()
    commands.work_on_run = marked_work
    runner.hold_conversation = marked_hold
    commands.after_work = SimpleNamespace(build=marked_build)
    code = exit_code_of(arguments)
    meter.write(options.report, **more)
    return code


if __name__ == "__main__":
    sys.exit(main())
