"""`engine export`: every format and view of runs that were held and imported, read back by those who will."""

from __future__ import annotations

import csv
import json
import os
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import orjson
import pytest
from tests.doubles.command_line import engine, records
from tests.unit.dataset.test_recllmsim import HUMAN, RELEASE

from engine.dataset.source import open_dataset
from engine.schema.annotation import intents_of

Capture = pytest.CaptureFixture[str]
ANY = ("recllmsim", "reference", "jsonl", "parquet", "sharegpt", "openai", "huggingface", "csv", "convokit",
       "croissant")  # fmt: skip
NEEDS_PYARROW = ("parquet", "huggingface")
GATES = (
    "rehearsal: {defect_rate: 0.4}\ngates: {use: [role, system_note, parrot, repeat, language, cut_off]}\n"
)
WITHOUT_PYARROW = pytest.mark.skipif(
    find_spec("pyarrow") is None, reason="pyarrow is not installed; extra `export`"
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rehearsed run with gates (`g`), and imports of made-up records (`llm`, `human`)."""
    folder = tmp_path_factory.mktemp("export")
    runs = folder / "runs"
    (folder / "gates.yaml").write_text(GATES)
    options = ("--runs-dir", runs)
    assert engine("run", folder / "gates.yaml", "--limit", "40", "--run", "g", *options) == 0
    made = [
        RELEASE | {"id": f"recipe-{n:04d}", "preference_id": n % 7, "preference": f"1. Age: {n % 5}"}
        for n in range(30)
    ]
    made[3] |= {"task": "=HYPERLINK(1)", "rating": {"Diversity": 1}, "task_context": "+1 or a@example.com"}
    for name, documents in (("llm", made), ("human", [HUMAN])):
        file = folder / f"{name}.jsonl"
        file.write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in documents))
        assert engine("import", file, "--name", name, *options) == 0
    return runs


def export(runs: Path, *arguments: str | Path) -> int:
    return engine("export", *arguments, "--runs-dir", runs)


@pytest.mark.parametrize("form", ANY)
@pytest.mark.parametrize("run", ["g", "llm", "human"])
def test_any_dataset_is_written_in_any_format(runs: Path, tmp_path: Path, run: str, form: str) -> None:
    if form in NEEDS_PYARROW and find_spec("pyarrow") is None:
        pytest.skip("pyarrow is not installed; extra `export`")
    out = tmp_path / "out"
    assert export(runs, run, "--format", form, "--raw", "--out", out) == 0
    if run != "g" and form == "reference":
        assert out.is_file()  # as it came
        return
    assert {"README.md", "LICENSE", "NOTICE", ".export.json"} <= {path.name for path in out.iterdir()}
    for path in (out, *out.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("form", ["recllmsim", "jsonl", "sharegpt", "openai"])
def test_what_import_reads_is_what_was_written(runs: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    assert export(runs, "g", "--format", form, "--raw", "--out", out) == 0
    written = open_dataset(out if form == "recllmsim" else out / "conversations.jsonl")
    assert written.format == form
    texts = sorted([turn.content for turn in each.turns] for each in written)
    assert texts == sorted([turn.content for turn in each.turns] for each in open_dataset(runs / "g"))
    if form != "recllmsim":  # whose files are numbered by task
        assert [each.conversation_id for each in written] == [
            each.conversation_id for each in open_dataset(runs / "g")
        ]


def test_labels_of_judges_go_along(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    assert engine("annotate", "llm", "--with", "intent", "--runs-dir", runs) == 0
    out = tmp_path / "a.jsonl"
    assert export(runs, "llm", "--format", "jsonl", "--out", out) == 0
    (turn, *_), *_ = (each.turns for each in open_dataset(out))
    assert {each.author.partition(":")[0] for each in turn.annotations if each.kind == "intent"} == {
        "dataset", "judge",
    }  # fmt: skip
    assert intents_of(turn.annotations) == ("Planning",)
    card = (tmp_path / "a.README.md").read_text()
    assert "`dataset`" in card
    assert "Labels by `judge:...` are a model's" in card


def test_a_split_by_profile_shares_no_profile(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export(runs, "llm", "--format", "jsonl", "--split", "8:1:1", "--out", out) == 65  # all are linked
    assert export(runs, "g", "--format", "jsonl", "--split", "1:1", "--out", out) == 0
    parts = {
        part: {record["profile"]["text"] for record in records(out / f"conversations-{part}.jsonl")}  # type: ignore[index]
        for part in ("train", "test")
    }
    assert parts["train"]
    assert parts["test"]
    assert not parts["train"] & parts["test"]


def test_csv_holds_no_formula_and_redaction_no_address(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export(runs, "llm", "--format", "csv", "--redact", "--out", out) == 0
    with (out / "conversations.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    assert rows[3]["task"] == "'=HYPERLINK(1)"
    assert rows[3]["scenario"] == "'+1 or [EMAIL]"
    with (out / "utterances.csv").open(newline="", encoding="utf-8") as file:
        first = next(csv.DictReader(file))
    assert (first["content"], first["content_zh"], first["intent_zh"]) == ("Hi", "你好", '["规划"]')
    card = (out / "README.md").read_text()
    assert "| email | 0 | 1 |" in card
    assert "were replaced by marks" in card
    assert "license: apache-2.0" in card
    assert "RecLLMSim (https://github.com/wzf2000/RecLLMSim)" in (out / "NOTICE").read_text()
    assert "TERMS AND CONDITIONS" in (out / "LICENSE").read_text()


LENIENT = {
    # What a strict reader of JSON refuses, and import reads all the same.
    "reference": '{"id": "n", "task": "t", "task_context": "", "rating": {"Diversity": NaN}, "history": '
    '[{"role": "user", "content": "a@example.com"}, {"role": "assistant", "content": "yes"}]}',
    "openai": '{"messages": [{"role": "user", "content": "\\ud800 a@example.com"}, '
    '{"role": "assistant", "content": "yes"}]}',
}


@pytest.mark.parametrize("form", LENIENT)
def test_records_that_only_a_lenient_reader_takes_are_written_too(tmp_path: Path, form: str) -> None:
    runs, file = tmp_path / "runs", tmp_path / "odd.jsonl"
    file.write_text(LENIENT[form] + "\n")
    assert engine("import", file, "--name", "odd", "--runs-dir", runs) == 0
    assert engine("annotate", "odd", "--with", "intent", "--runs-dir", runs) == 0
    for number, wanted in enumerate((form, "recllmsim", "reference")):
        out, cleared = tmp_path / f"{number}", tmp_path / f"{number}-cleared"
        assert export(runs, "odd", "--format", wanted, "--out", out) == 0
        assert export(runs, "odd", "--format", wanted, "--redact", "--out", cleared) == 0
        (record,) = (each for each in cleared.rglob("*.json*") if each.name != ".export.json")
        assert "[EMAIL]" in record.read_text()
        assert "a@example.com" not in record.read_text()
        orjson.loads(record.read_bytes())


def test_selections_take_what_was_asked_for(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "a.jsonl"
    options = ("--task", "recipe planning", "--min-rating", "diversity=2", "--format", "openai", "--plain")
    assert export(runs, "llm", *options, "--out", out) == 0
    assert len(records(out)) == 29
    assert all(record.keys() == {"messages"} for record in records(out))
    assert export(runs, "llm", "--language", "zh", "--format", "openai", "--out", tmp_path / "zh.jsonl") == 0
    assert records(tmp_path / "zh.jsonl")[0]["messages"][0]["content"] == "你好"  # type: ignore[index]
    assert (
        export(runs, "human", "--language", "en", "--format", "jsonl", "--out", tmp_path / "en.jsonl") == 65
    )
    assert "1 no text in en" in capsys.readouterr().err
    assert not (tmp_path / "en.jsonl").exists()


@pytest.mark.parametrize("view", ["recommendation", "profiling", "simulator", "preference-pairs"])
def test_views_of_a_run_have_rows(runs: Path, tmp_path: Path, view: str) -> None:
    out = tmp_path / "out"
    assert export(runs, "g", "--view", view, "--raw", "--out", out) == 0
    assert records(out / f"{view}.jsonl")
    assert f"g ({view})" in (out / "README.md").read_text()


def test_pairs_are_of_one_prompt_and_differ(runs: Path, tmp_path: Path) -> None:
    assert export(runs, "g", "--view", "preference-pairs", "--raw", "--out", tmp_path / "p.jsonl") == 0
    for row in records(tmp_path / "p.jsonl"):
        assert row["gates"]
        assert row["chosen"] != row["rejected"]
        assert row["rejected_attempt"] < row["chosen_attempt"]  # type: ignore[operator]
        assert row["prompt"][-1]["role"] == "user"  # type: ignore[index]


def test_convokit_speakers_and_replies_are_known(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export(runs, "llm", "--format", "convokit", "--split", "1:1", "--out", out) == 65
    assert export(runs, "g", "--format", "convokit", "--out", out) == 0
    speakers, conversations, corpus, index = (
        orjson.loads((out / f"{name}.json").read_bytes())
        for name in ("speakers", "conversations", "corpus", "index")
    )
    seen = set()
    for utterance in records(out / "utterances.jsonl"):
        assert utterance["speaker"] in speakers
        assert utterance["conversation_id"] in conversations
        assert utterance["reply-to"] is None or utterance["reply-to"] in seen
        assert (utterance["reply-to"] is None) == (utterance["id"] == utterance["conversation_id"])
        seen.add(utterance["id"])
    assert corpus["conversations"] == len(conversations)
    assert set(index) >= {"utterances-index", "speakers-index", "conversations-index", "overall-index"}


def test_croissant_describes_the_files_that_are_there(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export(runs, "llm", "--format", "croissant", "--out", out) == 0
    document = orjson.loads((out / "croissant.json").read_bytes())
    assert {each["name"] for each in document["distribution"]} == {"conversations.jsonl", "utterances.jsonl"}
    for records_of in document["recordSet"]:
        columns = set(records(out / f"{records_of['name']}.jsonl")[0])
        assert {field["name"] for field in records_of["field"]} <= columns


def test_nothing_that_is_there_is_replaced_unasked(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    file, folder, mine = tmp_path / "a.jsonl", tmp_path / "out", tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("all my work")
    for out, forced in ((file, 0), (folder, 0), (mine, 2)):
        first = export(runs, "llm", "--format", "jsonl", "--out", out)
        assert first == (2 if out is mine else 0)
        assert export(runs, "llm", "--format", "jsonl", "--out", out) == 2
        assert export(runs, "llm", "--format", "jsonl", "--out", out, "--force") == forced
    assert (mine / "thesis.tex").read_text() == "all my work"
    assert export(runs, "g", "--out", file) == 2
    assert "Say --force to replace it" in capsys.readouterr().err
    assert export(runs, "g", "--out", file, "--force") == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["g", "--format", "xml"], 2, "not as 'xml'"),
        (["g", "--format", "as-imported"], 2, "is no imported run"),
        (["llm", "--format", "engine"], 2, "can be written as reference"),
        (["g", "--split", "8"], 2, "is no ratio"),
        (["g", "--min-rating", "Diversity"], 2, "METRIC=N"),
        (["g", "--task", "cooking", "--format", "jsonl"], 65, "Tasks there are: "),
        (["g", "--view", "hallucination"], 65, "needs replies with a verdict"),
        (["llm", "--view", "preference-pairs"], 2, "was not held by it"),
        (["g", "--view", "profiling", "--format", "convokit"], 2, "is written as jsonl"),
        (["g", "--plain", "--format", "csv"], 2, "--format openai alone"),
        (["g", "--format", "csv", "--out", "x.csv"], 2, "--rows utterances"),
        (["g", "--format", "csv", "--out", "x.jsonl"], 2, "ends in .csv, or a folder"),
        (["g", "--format", "jsonl", "--split", "8:1:1", "--out", "x.jsonl"], 2, "several files"),
        (["llm", "--format", "as-imported", "--redact"], 2, "gives all records back as they came"),
        (["g", "--format", "engine", "--language", "zh"], 2, "name another --format"),
        (["nothing"], 65, "no run 'nothing'"),
    ],
)
def test_what_cannot_be_written_is_said(
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(runs.rglob("*"))
    assert export(runs, *arguments) == code
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert {path for path in set(runs.rglob("*")) - before if path.name != "export"} == set()


READ = """
import json, sys, pandas
from datasets import load_dataset
folder, csv, file = sys.argv[1:]
rows = {name: load_dataset(folder, name) for name in ("conversations", "utterances")}
table = load_dataset(csv, "utterances")["train"]
frame, parquet = pandas.read_csv(csv + "/utterances.csv"), pandas.read_parquet(file)
first = rows["conversations"]["train"][0]
print(json.dumps({
    "splits": sorted(rows["conversations"]),
    "rows": {name: sum(len(part) for part in parts.values()) for name, parts in rows.items()},
    "roles": [turn["role"] for turn in first["turns"]], "csv": [len(table), len(frame)],
    "same": list(frame["content"].fillna("")) == list(parquet["content"]),
}))
"""


@WITHOUT_PYARROW
@pytest.mark.skipif(
    find_spec("datasets") is None or find_spec("pandas") is None,
    reason="datasets and pandas are not installed",
)
def test_datasets_and_pandas_load_what_was_written(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    folder, table, file = tmp_path / "hub", tmp_path / "csv", tmp_path / "u.parquet"
    assert export(runs, "g", "--format", "huggingface", "--split", "1:1", "--out", folder) == 0
    assert export(runs, "g", "--format", "csv", "--out", table) == 0
    assert export(runs, "g", "--format", "parquet", "--rows", "utterances", "--out", file) == 0
    environment = os.environ | {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", READ, folder, table, file], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    facts = orjson.loads((folder / ".export.json").read_bytes())["counts"]
    assert found["splits"] == ["test", "train"]
    assert found["rows"] == {"conversations": facts["conversations"], "utterances": facts["utterances"]}
    assert found["roles"][:2] == ["user", "assistant"]
    assert found["csv"] == [facts["utterances"]] * 2
    assert found["same"]
