"""What a session leaves: the dataset from the journal, its summary, and what is said of them.

Loaded when the work has ended: until then a run needs none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import orjson

from engine.cli.display import print_report
from engine.dataset.build import write_dataset, write_summary
from engine.errors import EngineError
from engine.journal.inputs import read_inputs
from engine.journal.reader import Reader
from engine.runner.end_hook import SessionEnd
from engine.runner.overview import last_failure
from engine.runner.progress import RunResult
from engine.runner.run_folder import RunFolder
from engine.schema.conversation import EndReason


def build(
    folder: RunFolder, result: RunResult, *, is_first: bool, as_json: bool
) -> tuple[SessionEnd, Callable[[], None]]:
    """Write the run's dataset and summary; how the session ended, and how to report it."""
    reader = Reader(folder.journal)
    try:
        # From the journal alone, as `export` does it: what is shown is what anyone else would get.
        counts = write_dataset(reader, read_inputs(reader), folder.conversations)
        summary = write_summary(reader, counts, folder.summary)
        failure = last_failure(reader) if counts.end_reasons[EndReason.FAILED.value] else None
    finally:
        reader.close()
    report = partial(
        print_report, folder, counts, summary, result,
        is_first=is_first, last_failure=failure, as_json=as_json,
    )  # fmt: skip
    match result.stopped_by:
        case EngineError() as error:
            code = error.exit_code
        case int() as number:
            code = 128 + number
        case None:
            code = 3 if counts.end_reasons[EndReason.FAILED.value] else 0
    state: Literal["done", "stopped"] = "done" if result.stopped_by is None else "stopped"
    kept = counts.kept.row().conversations
    return SessionEnd(folder.name, folder.path, state, code, kept, orjson.dumps(summary) + b"\n"), report
