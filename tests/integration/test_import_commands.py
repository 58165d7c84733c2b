"""`engine import`, `stats` and `export` over every format: the same records come back, and are counted."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import orjson
import pytest
from tests.doubles.command_line import engine
from tests.unit.dataset.test_field_mapping import SAMPLES
from tests.unit.dataset.test_recllmsim import HUMAN, RELEASE

Capture = pytest.CaptureFixture[str]

CHAT = {"id": "o1", "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}
SHARED = {"id": "s1", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENGINE_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def told(capture: Capture) -> dict[str, object]:
    found = json.loads(capture.readouterr().out)
    assert isinstance(found, dict)
    return found


def lines_of(*documents: object) -> bytes:
    # Not as any library here would write them: spaces and key order have to survive.
    return b"".join(
        json.dumps(each, ensure_ascii=False, separators=(", ", " : ")).encode() + b"\n" for each in documents
    )


@pytest.mark.parametrize(
    ("form", "documents"),
    [
        (None, [CHAT, {"messages": []}]),
        ("openai", [CHAT]),
        (None, [SHARED]),
        (None, [HUMAN]),
        ("recllmsim", [RELEASE]),
        *((name, [sample]) for name, sample in SAMPLES.items()),
    ],
)
def test_every_format_gives_the_same_records_back(
    runs: Path, tmp_path: Path, capsys: Capture, form: str | None, documents: list[object]
) -> None:
    source = tmp_path / "data.jsonl.gz"
    source.write_bytes(gzip.compress(lines_of(*documents)))
    named = [] if form is None else ["--format", form]
    assert engine("import", source, "--name", "a", *named, "--json") == 0
    facts = told(capsys)
    assert (facts["conversations"], facts["unusable"]) == (len(documents), 0)
    assert engine("export", "a", "--format", str(facts["format"]), "--out", "back.jsonl") == 0
    assert Path("back.jsonl").read_bytes() == lines_of(*documents)
    assert engine("verify", "a") == 0


def test_a_release_folder_comes_back_file_by_file(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    files = {}
    for number in (9, 10):
        file = tmp_path / "release" / "recipe planning" / f"{number}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        files[file.relative_to(tmp_path / "release")] = json.dumps(
            RELEASE, indent=4, ensure_ascii=False
        ).encode()
        file.write_bytes(files[file.relative_to(tmp_path / "release")])
    assert engine("import", "release", "--name", "r", "--json") == 0
    assert told(capsys)["format"] == "recllmsim"
    assert engine("export", "r", "--out", "back") == 0
    for path, data in files.items():
        assert (Path("back") / path).read_bytes() == data
    capsys.readouterr()
    assert engine("show", "r", "recipe-0010", "--json") == 0
    assert json.loads(capsys.readouterr().out) == RELEASE


def test_the_same_command_twice_says_complete(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    Path("chats.jsonl").write_bytes(lines_of(CHAT))
    assert engine("import", "chats.jsonl") == 0
    first = capsys.readouterr().out
    assert "1 conversations (openai) imported into run openai-" in first
    assert engine("import", "chats.jsonl") == 0
    assert "is complete: 1 conversations; nothing to import" in capsys.readouterr().out
    assert len(list(runs.iterdir())) == 1


def test_bad_lines_are_named_and_the_rest_is_imported(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    Path("chats.jsonl").write_bytes(lines_of(CHAT) + b"{\n" + lines_of({"id": "x"}))
    assert engine("import", "chats.jsonl", "--name", "c") == 3
    assert "chats.jsonl, line 2: this record is no JSON" in capsys.readouterr().err
    assert engine("import", "chats.jsonl", "--name", "c", "--json") == 3
    assert told(capsys)["unusable"] == 2
    assert engine("status", "c") == 0
    assert "unusable       2 records" in capsys.readouterr().out
    Path("none.jsonl").write_bytes(b'{"id": 1}\n')
    assert engine("import", "none.jsonl", "--format", "openai", "--name", "n") == 65
    assert "none of the 1 records" in capsys.readouterr().err


MAPPING = """
name: notes
messages: lines
message: {prefixes: {user: ["Q:"], assistant: ["A:"]}}
task: {text: notes}
construction: templates
"""


def test_a_mapping_of_ones_own_imports_any_json(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    Path("map.yaml").write_text(MAPPING)
    Path("notes.jsonl").write_bytes(lines_of({"lines": ["Q: why?", "A: because"], "mood": "dry"}))
    assert engine("import", "--format", "mapping", "map.yaml", "notes.jsonl", "--name", "n") == 0
    assert "run n" in capsys.readouterr().out
    Path("map.yaml").unlink()
    assert engine("stats", "n", "--json") == 0
    facts = told(capsys)
    assert facts["construction"] == {"templates": 1}
    assert facts["format"] == "notes"
    assert engine("show", "n", "notes-000001") == 0
    assert "[assistant]\nbecause" in capsys.readouterr().out
    assert engine("export", "n") == 0
    assert (runs / "n" / "export" / "notes.jsonl").read_bytes() == Path("notes.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere.jsonl"], 65, "no such file"),
        (["chats.jsonl", "--format", "xml"], 2, "no format 'xml'"),
        (["chats.jsonl", "--format", "mapping"], 2, "name one .yaml file"),
        (["map.yaml", "--format", "mapping"], 2, "at least one file"),
        (["chats.jsonl", "absent.yaml", "--format", "mapping"], 65, "absent.yaml: cannot be read"),
        (["other.jsonl"], 65, "in no format that is known"),
        (["empty.jsonl"], 65, "holds no record"),
    ],
)
def test_what_cannot_be_imported_is_said(
    runs: Path, tmp_path: Path, capsys: Capture, arguments: list[str], code: int, said: str
) -> None:
    Path("chats.jsonl").write_bytes(lines_of(CHAT))
    Path("other.jsonl").write_bytes(b'{"a": 1}\n')
    Path("empty.jsonl").write_bytes(b"\n")
    Path("map.yaml").write_text(MAPPING)
    assert engine("import", *arguments) == code
    assert said in capsys.readouterr().err
    assert not runs.exists() or list(runs.iterdir()) == []


def test_an_imported_run_is_listed_shown_and_not_resumed(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    Path("data.jsonl").write_bytes(lines_of(HUMAN))
    assert engine("import", "data.jsonl", "--name", "h") == 0
    capsys.readouterr()
    assert engine("runs", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["run"], row["state"], row["imported"]) == ("h", "complete", "reference")
    assert engine("show", "h", HUMAN["id"], "--json") == 0  # type: ignore[arg-type]
    assert orjson.loads(capsys.readouterr().out) == HUMAN
    assert engine("show", "h", "nobody") == 65
    assert "ids look like hu9-u001-recipe-1" in capsys.readouterr().err
    assert engine("resume", "h") == 65
    assert "or was imported" in capsys.readouterr().err
    assert engine("export", "h", "--format", "engine") == 2
    assert "can be written as reference" in capsys.readouterr().err


def test_what_is_shown_of_an_import_steers_no_terminal(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "odd.jsonl"
    messages = [{"role": "user", "content": "\x1b[2Jhi \u202e"}, {"role": "assistant", "content": "[/b]"}]
    file.write_bytes(orjson.dumps({"id": "odd", "task": "[/b] \x1b]0;t\x07", "messages": messages}))
    assert engine("import", file, "--name", "odd", "--runs-dir", runs) == 0
    for command in (("show", "odd", "odd"), ("stats", "odd"), ("report", "odd")):
        capsys.readouterr()
        assert engine(*command, "--runs-dir", runs) == 0
        said = capsys.readouterr().out
        assert not set(said) & {"\x1b", "\x07", "\u202e"}, command
        assert "[/b]" in said or command[0] == "report"


def test_an_import_that_cannot_go_on_is_shown_as_stopped(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    Path("cut.jsonl.gz").write_bytes(gzip.compress(lines_of(CHAT) * 400, mtime=0)[:-20])
    assert engine("import", "cut.jsonl.gz", "--name", "c") == 65
    assert "the gzip file is damaged or cut off" in capsys.readouterr().err
    assert engine("status", "c") == 0
    assert "go on with     the `engine import` command that began it" in capsys.readouterr().out
    assert engine("runs", "prune", "--keep", "0", "--yes") == 0
    assert (runs / "c").exists()
    Path("bad.json").write_bytes(b"[{}, {")
    assert engine("import", "bad.json", "--format", "openai", "--name", "b") == 65
    capsys.readouterr()
    assert engine("show", "b", "x") == 65
    assert "there is no conversation 'x' in this run" in capsys.readouterr().err


def test_a_complete_import_may_be_pruned(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    Path("data.jsonl").write_bytes(lines_of(HUMAN))
    assert engine("import", "data.jsonl", "--name", "h") == 0
    assert engine("runs", "prune", "--keep", "0", "--yes") == 0
    assert list(runs.iterdir()) == []


def test_a_run_of_the_engine_is_a_dataset_as_its_file_is(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    assert engine("run", "--limit", "6", "--run", "held") == 0
    capsys.readouterr()
    assert engine("stats", "held", "--json") == 0
    run = told(capsys)
    assert engine("stats", "runs/held/conversations.jsonl", "--json") == 0
    file = told(capsys)
    for key in ("table1", "table1_by_task", "rounds", "tokens_by_position", "end_reasons", "construction"):
        assert run[key] == file[key]
    summary = json.loads((runs / "held" / "summary.json").read_bytes())
    for row in ("raw", "kept"):
        theirs, ours = summary["table1"][row], run["table1"][row]  # type: ignore[index]
        assert {key: ours[key] for key in theirs} == theirs
    assert engine("import", "runs/held/conversations.jsonl", "--name", "copy") == 0
    assert engine("export", "copy", "--out", "copy.jsonl") == 0
    assert Path("copy.jsonl").read_bytes() == (runs / "held" / "conversations.jsonl").read_bytes()


def test_definitions_are_named_options(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    release = [RELEASE | {"id": "a"}, RELEASE | {"id": "b", "task": "new travel planning"}]
    Path("data.jsonl").write_bytes(lines_of(*release))
    Path("split.json").write_text('{"split": {"a": "t", "b": "e"}}')
    options = [
        "--averages-without",
        "recipe planning",
        "--utterances",
        "user",
        "--merge",
        "recipe planning=food",
    ]
    assert engine("stats", "data.jsonl", *options, "--split", "split.json", "--json") == 0
    facts = told(capsys)
    assert facts["definitions"] == {
        "averages_without": ["recipe planning"], "utterances": "user", "merged": {"recipe planning": "food"},
        "author": None,
    }  # fmt: skip
    assert facts["table1"]["kept"]["averaged_over"] == 1  # type: ignore[index]
    assert set(facts["table2"]) == {"food", "new travel planning"}  # type: ignore[call-overload]
    assert facts["table3"]["split"]["test"] == {"utterances": 1, "labels": {"Planning": 1}}  # type: ignore[index]
    assert engine("stats", "data.jsonl", "--merge", "food") == 2
    assert "TASK=NAME" in capsys.readouterr().err
    Path("split.json").write_text('{"split": {"a": "x"}}')
    assert engine("stats", "data.jsonl", "--split", "split.json") == 65
    assert "is no split" in capsys.readouterr().err
    assert engine("stats", "nothing") == 65
    assert "no run 'nothing'" in capsys.readouterr().err


def test_tables_cut_no_number(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    Path("data.jsonl").write_bytes(lines_of(HUMAN, RELEASE | {"id": "a"}))
    assert engine("stats", "data.jsonl", "--paper") == 0
    shown = capsys.readouterr().out
    assert "…" not in shown
    for title in ("Table 1", "Table 2", "Figure 6", "Table 3", "Hallucinated replies"):
        assert title in shown
