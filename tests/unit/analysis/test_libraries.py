"""Without the optional libraries: what is refused, and what comes out all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.doubles.command_line import engine

from engine.analysis import libraries
from engine.errors import UsageError

ONE = b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n'


@pytest.fixture
def _no_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)


@pytest.mark.usefixtures("_no_libraries")
def test_what_is_missing_is_named_with_how_to_get_it() -> None:
    with pytest.raises(
        UsageError, match=r"engine x needs numpy and scipy, which are .*recsim-engine\[analysis\]"
    ):
        libraries.require_libraries("engine x", "numpy", "scipy")


@pytest.mark.usefixtures("_no_libraries")
def test_a_report_without_matplotlib_has_tables_and_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_bytes(ONE)
    out = tmp_path / "page.html"
    assert engine("report", tmp_path / "one.jsonl", "--out", out) == 0
    page = out.read_text("utf-8")
    assert "Table 1" in page
    assert "<img" not in page
    assert "recsim-engine[analysis]" in page
    assert engine("report", tmp_path / "one.jsonl", "--figures", tmp_path / "f") == 2
    assert engine("compare", tmp_path / "one.jsonl", tmp_path / "one.jsonl") == 2


def test_what_is_there_is_not_refused() -> None:
    libraries.require_libraries("engine x", "numpy")
    assert libraries.is_plotting_possible()
