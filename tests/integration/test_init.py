"""`engine init`: a configuration that says everything, and folders to edit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from tests.doubles.command_line import engine, records

from engine.cli.init_command import CONFIGURATION
from engine.config import settings
from engine.config.endpoint_settings import EndpointSettings
from engine.config.load import load_config, parse_config
from engine.config.matrix import cells_of
from engine.config.model_settings import ModelSettings
from engine.config.settings import LocalSection, RunConfig

Capture = pytest.CaptureFixture[str]


def uncommented() -> str:
    """The file with every example in use: settings follow `#` at once or by their own indentation."""
    return re.sub(r"^#(?=\S|  )", "", CONFIGURATION.read_text("utf-8"), flags=re.M)


def keys_of(value: object) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(keys_of, value))
    if not isinstance(value, dict):
        return set()
    return {str(key) for key in value} | set().union(*map(keys_of, value.values()))


def test_file_holds_every_key_of_every_section() -> None:
    written = keys_of(yaml.safe_load(uncommented()))
    sections = [value for value in vars(settings).values() if isinstance(value, type)]
    known = {name for section in sections if issubclass(section, BaseModel) for name in section.model_fields}
    # A debrief question is shown in the comment at its place.
    assert known - written == {"side", "question"}
    assert "[{side: user, question:" in CONFIGURATION.read_text("utf-8")


def test_file_as_it_stands_is_the_default() -> None:
    text = CONFIGURATION.read_text("utf-8")
    assert parse_config(text, source="engine.yaml", folder=Path("/study")) == RunConfig()
    # Said and not left to the defaults: each key of the top level but for those of the examples.
    assert set(yaml.safe_load(text)) == set(RunConfig.model_fields) - {
        "endpoints",
        "stages",
        "local",
        "prices",
        "matrix",
    }
    for name in ("conversation", "gates", "validation", "rehearsal"):
        assert yaml.safe_load(text)[name] == RunConfig().model_dump(mode="json")[name]


def test_examples_are_valid_and_give_the_defaults_where_they_say_so() -> None:
    config = parse_config(uncommented(), source="engine.yaml", folder=Path("/study"))
    assert set(config.endpoints) == {"vllm", "ollama", "openai"}
    assert config.local == LocalSection()
    vllm, simulator = config.endpoints["vllm"], config.stages["simulator"]
    assert vllm == EndpointSettings(base_url=vllm.base_url, limits=vllm.limits)
    assert simulator == ModelSettings(endpoint="vllm", model=simulator.model)
    assert config.stages["assistant"].model == "gpt-4o-mini"
    assert list(cells_of(config)) == [
        f"{simulator}~{assistant}"
        for simulator in ("large", "small-t0.2", "small-t0.8")
        for assistant in ("plain", "poor")
    ]


def test_every_setting_of_identity_is_marked() -> None:
    text = CONFIGURATION.read_text("utf-8")
    for key in ("seed", "language", "defect_rate", "conversation", "gates"):
        before = text.split(f"{key}:")[0]
        assert "[identity]" in before.rsplit("\n\n", 2)[-1] + before.rsplit("\n\n", 2)[-2], key
    assert text.count("[identity]") == 10


def test_folder_runs_as_it_is_with_its_own_templates_and_profiles(tmp_path: Path, capsys: Capture) -> None:
    study, runs = tmp_path / "new" / "study", tmp_path / "runs"
    assert engine("init", study) == 0
    assert {path.name for path in study.iterdir()} == {"engine.yaml", "templates", "profiles"}
    assert f"engine run {study / 'engine.yaml'}" in capsys.readouterr().out
    phrase = study / "templates" / "_prompts" / "en" / "role.jinja"
    phrase.write_text("You are a person from the edited template.\n")
    options = ("--limit", "3", "--run", "r", "--runs-dir", runs)
    assert engine("run", study / "engine.yaml", *options) == 0
    assert len(records(runs / "r" / "conversations.jsonl")) == 3
    capsys.readouterr()
    assert engine("run", study / "engine.yaml", "--dry-run", *options) == 0
    assert "from the edited template" in capsys.readouterr().out
    assert load_config(study / "engine.yaml") == RunConfig()


def test_folder_that_is_not_empty_is_left_as_it_is_unless_forced(tmp_path: Path, capsys: Capture) -> None:
    mine = tmp_path / "engine.yaml"
    mine.write_text("seed: 7\n")
    assert engine("init", tmp_path) == 2
    assert "is not empty and nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["engine.yaml"]
    assert mine.read_text() == "seed: 7\n"
    assert engine("init", tmp_path, "--force") == 0
    assert mine.read_text() == CONFIGURATION.read_text()
    assert (tmp_path / "profiles" / "pool.en.jsonl").is_file()


def test_working_folder_with_templates_of_its_own_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engine("init", tmp_path) == 0
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "templates" / "travel" / "description.en.jinja"
    before = mine.read_text()
    mine.write_text(before + "More.\n")
    assert engine("init", ".", "--force") == 0
    assert mine.read_text() == before + "More.\n"


def test_place_that_cannot_be_written_is_named(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("")
    assert engine("init", tmp_path / "file") == 2
    assert engine("init", tmp_path / "file" / "below") == 73
    assert "cannot be written" in capsys.readouterr().err


def test_force_writes_through_no_link(tmp_path: Path, capsys: Capture) -> None:
    study, elsewhere = tmp_path / "study", tmp_path / "mine.yaml"
    study.mkdir()
    elsewhere.write_text("mine\n")
    (study / "engine.yaml").symlink_to(elsewhere)
    assert engine("init", study, "--force") == 2
    assert "engine.yaml is a link" in capsys.readouterr().err
    assert elsewhere.read_text() == "mine\n"
    assert [path.name for path in study.iterdir()] == ["engine.yaml"]
    (study / "engine.yaml").unlink()
    (study / "profiles").symlink_to(tmp_path / "other", target_is_directory=True)
    (tmp_path / "other").mkdir()
    assert engine("init", study, "--force") == 2
    assert "profiles is a link" in capsys.readouterr().err
    assert list((tmp_path / "other").iterdir()) == []
    assert [path.name for path in study.iterdir()] == ["profiles"]


@pytest.mark.parametrize("name", ["templates", "templates/travel", "profiles"])
def test_force_checks_every_place_before_it_writes_one(name: str, tmp_path: Path, capsys: Capture) -> None:
    in_the_way = tmp_path / name
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert engine("init", tmp_path, "--force") == 2
    assert f"{name} is a file, and a folder" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
    in_the_way.unlink()
    (tmp_path / "engine.yaml").mkdir()
    assert engine("init", tmp_path, "--force") == 2
    assert "engine.yaml is a folder, and a file" in capsys.readouterr().err
