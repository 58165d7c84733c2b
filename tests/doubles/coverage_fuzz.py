"""Feeds one target with inputs that a coverage-guided fuzzer (libFuzzer, by Atheris) makes up.

    python -m tests.doubles.coverage_fuzz TARGET FOLDER [libFuzzer options, such as -max_total_time=60]

FOLDER keeps the inputs that reach something new. A finding ends it with a traceback and is written into
the folder given by `-artifact_prefix`; it becomes one of `FOUND` in tests/chaos/test_fuzz.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["engine", "jinja2", "yaml"]):
    from tests.doubles.fuzz_targets import TARGETS


def main() -> None:
    """Fuzz until an option says that it is enough, or something is found."""
    name, folder, *options = sys.argv[1:]
    target, corpus = TARGETS[name], Path(folder)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *options, folder], target.feed)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
