"""Rows come back from CSV and Parquet as they went in; formulas do not; batches and shards lose none."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dataset import encode_tables
from engine.dataset.encode_tables import CsvFile, JsonLinesFile, ParquetFile, require_pyarrow
from engine.errors import UsageError

COLUMNS = {"text": "text", "number": "int", "said": "bool", "list": "texts", "messages": "messages"}
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_csv_texts_come_back_and_none_begins_a_formula(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    file = CsvFile(path, {"text": "text", "list": "texts"})
    for text in texts:
        file.add({"text": text, "list": [text]})
    file.close()
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(texts)
    for row, text in zip(rows, texts, strict=True):
        assert row["text"] in (text, f"'{text}")
        assert not row["text"].startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))


def test_csv_says_numbers_truth_and_nothing(tmp_path: Path) -> None:
    file = CsvFile(tmp_path / "t.csv", COLUMNS)  # type: ignore[arg-type]
    file.add({"number": -1, "said": True, "text": "-1", "list": []})
    file.add({"said": False})
    file.close()
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines == ["text,number,said,list,messages", "'-1,-1,true,[],", ",,false,,"]


def test_a_record_over_several_lines_becomes_one(tmp_path: Path) -> None:
    file = JsonLinesFile(tmp_path / "t.jsonl")
    file.add_raw(b'{\r\n "a": 1\n}')
    file.close()
    assert (tmp_path / "t.jsonl").read_bytes() == b'{   "a": 1 }\n'


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is not installed; extra `export`")
def test_parquet_shards_hold_every_row_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow.parquet import read_table

    monkeypatch.setattr(encode_tables, "_BATCH_BYTES", 200)
    monkeypatch.setattr(encode_tables, "_SHARD_BYTES", 500)
    rows: list[dict[str, object]] = [
        {
            "text": "x" * number, "number": number, "said": None, "list": ["a"],
            "messages": [{"role": "user", "content": "Hi"}],
        }
        for number in range(60)
    ]  # fmt: skip
    file = ParquetFile(lambda shard: tmp_path / f"{shard:02d}.parquet", COLUMNS, is_sharded=True)  # type: ignore[arg-type]
    for row in rows:
        file.add(row)
    file.close()
    shards = sorted(tmp_path.iterdir())
    assert len(shards) > 2
    assert [row for shard in shards for row in read_table(shard).to_pylist()] == rows


def test_without_pyarrow_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode_tables, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"recsim-engine\[export\]"):
        require_pyarrow()
