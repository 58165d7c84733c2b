"""Records of files come as the bytes that they are, one at a time, whatever holds them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dataset import source_files
from engine.dataset.source_files import digest_of, stream_raw
from engine.errors import BadInput


def raws(path: Path) -> list[tuple[int, bytes]]:
    return [(place.line, raw) for place, raw in stream_raw(path)]


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_lines_are_records_and_blank_ones_are_none(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"a": 1}\r\n\n  \n{"b":2} \n{"c":3}')
    assert raws(path) == [(1, b'{"a": 1}'), (4, b'{"b":2} '), (5, b'{"c":3}')]


def test_gzip_is_told_by_its_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", gzip.compress(b"{}\n{}\n"))
    assert [raw for _, raw in raws(path)] == [b"{}", b"{}"]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1 << 20])
def test_json_files_hold_an_array_or_values_in_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(source_files, "_CHUNK", chunk)
    array = write(tmp_path / "a.json", '[\n {"a": "ü, ]"},\n\n{"b":\n[1, 2]} ]\n'.encode())
    assert raws(array) == [(2, '{"a": "ü, ]"}'.encode()), (4, b'{"b":\n[1, 2]}')]
    row = write(tmp_path / "b.json", b'{"a": 1}\n{"b": 2}')
    assert raws(row) == [(1, b'{"a": 1}'), (2, b'{"b": 2}')]


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), max_size=6),
    st.booleans(),
)
def test_any_array_comes_back_value_by_value(
    tmp_path_factory: pytest.TempPathFactory, values: list[object], indented: bool
) -> None:
    text = json.dumps(values, ensure_ascii=False, indent=2 if indented else None)
    path = write(tmp_path_factory.mktemp("json") / "a.json", text.encode("utf-8", "replace"))
    assert [json.loads(raw) for _, raw in raws(path)] == json.loads(path.read_bytes())


def test_a_folder_is_read_by_name_and_then_by_number(tmp_path: Path) -> None:
    for name in ("b/10.json", "b/9.json", "a/1.json", "a/.hidden.json", "b/notes.txt", "b/z.json"):
        write(tmp_path / "data" / name, name.encode())
    found = list(stream_raw(tmp_path / "data"))
    assert [place.path for place, _ in found] == ["a/1.json", "b/9.json", "b/10.json", "b/z.json"]
    assert [place.line for place, _ in found] == [1, 2, 3, 4]
    assert found[1] == (found[1][0], b"b/9.json")


def test_a_digest_changes_with_bytes_and_names(tmp_path: Path) -> None:
    write(tmp_path / "a" / "1.json", b"{}")
    write(tmp_path / "b" / "1.json", b"{}")
    write(tmp_path / "c" / "2.json", b"{}")
    assert digest_of(tmp_path / "a") == digest_of(tmp_path / "b") != digest_of(tmp_path / "c")
    assert digest_of(tmp_path / "a" / "1.json") == digest_of(tmp_path / "c" / "2.json")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("cut.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 5_000, mtime=0)[:-30], "gzip file is damaged"),
        ("a.json", b'[{"a": 1},\n{"b": }]', "line 2: is no JSON"),
        ("a.json", b'{"a": "\xff"}', "not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        raws(write(tmp_path / name, data))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        raws(tmp_path / "a.jsonl")
    with pytest.raises(BadInput, match="no such file"):
        digest_of(tmp_path / "a.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"no \.json file"):
        raws(tmp_path / "empty")
