"""`--dry-run` refuses what a run would refuse, in the same words, and leaves nothing.

Also: `output` says where a run lies for every command, and a task that joins a run is named.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.doubles.command_line import engine, records

ROOT = Path(__file__).resolve().parents[2]
Capture = pytest.CaptureFixture[str]
URL = "http://127.0.0.1:9/v1"
STUDY = "limit: 2\nendpoints:\n  lab:\n    base_url: {url}\n{more}stages:\n{stages}"
STAGES = "  simulator: {endpoint: lab, model: s}\n  assistant: {endpoint: lab, model: a}\n"


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ENGINE_RUNS_DIR", raising=False)
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    return tmp_path / "study.yaml"


def write(file: Path, more: str = "", stages: str = STAGES) -> None:
    file.write_text(STUDY.format(url=URL, more=more, stages=stages))


def open_to_all(file: Path) -> None:
    (file.parent / "key").write_text("k")
    (file.parent / "key").chmod(0o644)
    write(file, "    key_file: key\n")


def no_model(file: Path) -> None:
    file.write_text("limit: 2\nlocal: {model: nowhere.gguf}\n")


def no_gguf(file: Path) -> None:
    (file.parent / "model.gguf").write_text("words")
    file.write_text("limit: 2\nlocal: {model: model.gguf}\n")


UNREADY: dict[str, tuple[Callable[[Path], None], int, str]] = {
    "variable": (lambda file: write(file, "    key_env: NO_SUCH_KEY\n"), 78, "NO_SUCH_KEY is not set"),
    "header": (lambda file: write(file, '    headers: {X-Key: "${NO_SUCH_KEY}"}\n'), 78, "NO_SUCH_KEY is"),
    "key file": (lambda file: write(file, "    key_file: nowhere\n"), 78, "nowhere cannot be read"),
    "folder as key file": (lambda file: write(file, "    key_file: .\n"), 78, "is no file. Name one that"),
    "open key file": (open_to_all, 78, "can be read by others"),
    "certificates": (lambda file: write(file, "    ca_file: nowhere.pem\n"), 78, "nowhere.pem: No such file"),
    "model file": (no_model, 65, "nowhere.gguf cannot be read"),
    "no model": (no_gguf, 65, "is not a GGUF model file"),
    "limit": (
        lambda file: write(file, "    limits: {tokens_per_min: 1100}\n"), 78,
        "endpoint lab: tokens_per_min is 1,100, but a request of the simulator (in job gifts-",
    ),
    "limit of one model": (
        lambda file: write(file, "    limits: {per_model: {s: {tokens_per_min: 1100}}}\n"), 78,
        "raise `endpoints.lab.limits.per_model.s.tokens_per_min` well above that",
    ),
    "limit of input": (
        lambda file: write(file, "    limits: {input_tokens_per_min: 100}\n"), 78,
        "input_tokens_per_min is 100, but a request of the simulator (in job gifts-",
    ),
    "limit of the other side": (
        lambda file: write(
            file, "    limits: {tokens_per_min: 1100}\n",
            STAGES.replace("model: s", "model: s, max_tokens: 9").replace(": a}", ": a, max_tokens: 1099}"),
        ), 78, "a request of the assistant",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "code", "words"), UNREADY.values(), ids=UNREADY.keys())
def test_dry_run_refuses_what_a_run_refuses(
    study: Path, capsys: Capture, make: Callable[[Path], None], code: int, words: str
) -> None:
    make(study)
    assert engine("run", study, "--dry-run") == code
    dry = capsys.readouterr()
    assert "2 conversations" in dry.out
    assert words in dry.err
    assert engine("run", study) == code
    assert capsys.readouterr().err == dry.err
    assert not (study.parent / "runs").exists()


def test_an_endpoint_that_nobody_asks_needs_no_key(study: Path) -> None:
    write(study, "  far:\n    base_url: http://h/v1\n    key_env: NO_SUCH_KEY\n")
    assert engine("run", study, "--dry-run") == 0


def test_dry_run_refuses_a_place_that_cannot_be_written(study: Path, capsys: Capture) -> None:
    (study.parent / "file").write_text("")
    study.write_text("limit: 1\noutput: {runs: file}\n")
    assert engine("run", study, "--run", "r", "--dry-run") == 73
    dry = capsys.readouterr().err
    assert engine("run", study, "--run", "r") == 73
    assert capsys.readouterr().err.endswith(dry)


def test_dry_run_of_a_run_with_other_content_is_refused(study: Path, capsys: Capture) -> None:
    study.write_text("limit: 2\n")
    assert engine("run", study, "--run", "r") == 0
    assert engine("run", study, "--run", "r", "--dry-run") == 0
    assert engine("run", study, "--run", "r", "--dry-run", "--seed", "3") == 78
    assert "seed: then 0, now 3" in capsys.readouterr().err


# --- output ----------------------------------------------------------------------------------------


def test_a_run_lies_where_its_configuration_says_and_is_found_there(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    study.write_text("limit: 2\noutput: {runs: data, name: pilot}\n")
    (study.parent / "here").mkdir()
    monkeypatch.chdir(study.parent / "here")
    place = study.parent / "data" / "pilot"
    assert engine("run", study) == 0
    first = records(place / "conversations.jsonl")[0]["id"]
    for command in (["status"], ["resume"], ["verify"], ["export"], ["show", str(first)]):
        word, *rest = command
        assert engine(word, "pilot", *rest, "--config", study) == 0
        assert engine(word, place, *rest) == 0
        assert engine(word, "pilot", *rest) == 65
    assert engine("resume", "--config", study) == 65
    assert f"no run in {study.parent / 'data'} is unfinished" in capsys.readouterr().err
    assert engine("runs", "--config", study) == 0
    assert "pilot" in capsys.readouterr().out
    assert list(Path().iterdir()) == []


def test_what_is_typed_or_exported_wins_over_the_configuration(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.write_text("limit: 1\noutput: {runs: theirs, name: pilot}\n")
    assert engine("run", study, "--runs-dir", "typed", "--run", "mine") == 0
    monkeypatch.setenv("ENGINE_RUNS_DIR", "exported")
    assert engine("run", study) == 0
    assert engine("status", "pilot", "--config", study) == 0
    assert engine("status", "mine", "--config", study, "--runs-dir", "typed") == 0
    assert Path("typed/mine/run.yaml").is_file()
    assert Path("exported/pilot/run.yaml").is_file()
    assert not Path("theirs").exists()


def test_config_before_a_command_of_runs_is_refused(study: Path, capsys: Capture) -> None:
    study.write_text("output: {runs: theirs}\n")
    assert engine("runs", "--config", study, "prune") == 2
    assert "--config: give it behind `prune`" in capsys.readouterr().err


# --- tasks that join -------------------------------------------------------------------------------


def test_a_task_that_joins_a_run_is_named(study: Path, capsys: Capture) -> None:
    for name in ("templates", "profiles"):
        shutil.copytree(ROOT / name, study.parent / name)
    pool = study.parent / "profiles" / "pool.en.jsonl"
    pool.write_text(pool.read_text().splitlines()[0] + "\n")
    moved = study.parent / "travel"
    (study.parent / "templates" / "travel").rename(moved)
    study.write_text("")
    assert engine("run", study, "--run", "r") == 0
    assert "; tasks: " in capsys.readouterr().err
    assert engine("run", study, "--run", "r") == 0
    assert "travel" not in capsys.readouterr().err.replace("newtravel", "")
    moved.rename(study.parent / "templates" / "travel")
    assert engine("run", study, "--run", "r", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "(every task in the templates folder)" in shown
    assert "new to this run, which grows by it: travel" in shown
    assert engine("run", study, "--run", "r") == 0
    assert "run r was planned without task travel: the plan grows by it." in capsys.readouterr().err
