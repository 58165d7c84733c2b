"""Arbitrary bytes give the defined error and nothing else: replies, connections, templates, files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.doubles.fuzz_targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 12
# What was not answered with the defined error when it was found.
FOUND = (
    ("template", b"{{ " + b"(" * 5_000 + b"1" + b")" * 5_000 + b" }}"),
    ("template", b"{% if 1 %}" * 300 + b"{% endif %}" * 300),
    ("template", b"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
    ("template", b"{% block a %}{{ self.a() }}{% endblock %}"),
    ("template", b"{{ x(a=1, a=2) }}"),
    ("decode", b'\0{"content":[{"type":"text","text":"a"}]}'),
)
_TEMPLATE_WORDS = (
    "{{", "}}", "{%", "%}", "{#", "#}", "-", " ", "x", "names", "if", "endif", "for", "in", "endfor", "set",
    "=", "block", "endblock", "macro", "endmacro", "(", ")", "[", "]", "{", "}", ",", ":", ".", "|", "~", "+",
    "/", "not", "is", "none", "true", "upper", "listed", "join", "1", "0", "'a'", "raw", "endraw", "\n",
    "\u00e9", "filter", "endfilter", "self", "super", "loop", "recursive", "import", "include", "as", "call",
)  # fmt: skip


def seeds() -> Iterator[tuple[str, bytes]]:
    for name, target in TARGETS.items():
        for seed in target.seeds:
            yield name, seed


@pytest.mark.parametrize(("name", "data"), FOUND, ids=[f"{name}-{n}" for n, (name, _) in enumerate(FOUND)])
def test_what_was_found_once_gives_the_defined_error(name: str, data: bytes) -> None:
    TARGETS[name].feed(data)


@given(st.sampled_from(sorted(TARGETS)), st.binary(max_size=200))
def test_arbitrary_bytes(name: str, data: bytes) -> None:
    TARGETS[name].feed(data)


@given(st.data(), st.sampled_from(list(seeds())))
def test_inputs_that_were_whole_once(data: st.DataObject, seed: tuple[str, bytes]) -> None:
    name, whole = seed
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    TARGETS[name].feed(whole[:start] + data.draw(st.binary(max_size=20)) + whole[end:])


@given(st.lists(st.sampled_from(_TEMPLATE_WORDS), max_size=40).map("".join))
def test_templates_made_of_what_templates_are_made_of(source: str) -> None:
    TARGETS["template"].feed(source.encode())


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="the extra [fuzz] is not installed")
@pytest.mark.parametrize("name", TARGETS)
def test_inputs_that_a_fuzzer_finds_by_what_they_reach(name: str, tmp_path: Path) -> None:
    options = [
        f"-max_total_time={SECONDS}",
        "-timeout=5",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={tmp_path}/",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.doubles.coverage_fuzz", name, str(tmp_path / "corpus"), *options],
        cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]
    assert "DONE" in done.stderr, "it stopped before its time"
