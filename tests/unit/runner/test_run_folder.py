"""A run's folder: names that stay in it, and settings that come back as they were."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from engine.config.identity import identity_fields
from engine.config.load import load_config
from engine.config.settings import RunConfig
from engine.errors import BadInput, CannotWrite, ConfigError, UsageError
from engine.journal.journal import JOURNAL_NAME
from engine.runner.run_folder import (
    RunFolder,
    all_folders,
    default_name,
    existing_folder,
    open_folder,
)

ENDPOINT = {"base_url": "http://h/v1"}
FULL: dict[str, Any] = {
    "seed": 7,
    "tasks": ["travel"],
    "limit": 3,
    "endpoints": {"a": ENDPOINT | {"key_env": "KEY", "headers": {"X-Key": "${OTHER}"}}},
    "stages": {
        "simulator": {"model": "m", "endpoint": "a", "temperature": None, "extra": {"logprobs": None}},
        "assistant": {"model": '模型: "x" # y', "endpoint": "a", "stop": ["\n\n", "\u2028", "no", "1e3", ""]},
    },
    "conversation": {"debrief": [{"side": "user", "question": "Were you\nsatisfied? 🍣"}]},
}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "runs" / "pilot")
    made.make()
    return made


def make_run(runs_dir: Path, name: str) -> Path:
    path = runs_dir / name
    path.mkdir(parents=True)
    (path / JOURNAL_NAME).touch()
    return path


# --- names -----------------------------------------------------------------------------------------

LEAVING = ["..", ".", "../x", "a/b", "/etc", "a\\b", "a b", "", "-x", ".hidden", "a\n", "a\0b", "é", "x" * 65]


@pytest.mark.parametrize("name", LEAVING)
def test_a_name_that_could_leave_the_runs_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no name of a run"):
        open_folder(tmp_path, name)


@given(st.text(max_size=70) | st.from_regex(r"[A-Za-z0-9._/-]{1,20}", fullmatch=True))
def test_any_name_is_refused_or_names_a_folder_right_inside(name: str) -> None:
    runs_dir = Path("/nowhere/runs")
    try:
        folder = open_folder(runs_dir, name)
    except UsageError:
        return
    assert folder.path.resolve().parent == runs_dir
    assert folder.name == name


def test_an_existing_run_is_found_by_its_path(tmp_path: Path) -> None:
    path = make_run(tmp_path / "elsewhere", "pilot")
    assert open_folder(tmp_path / "runs", str(path)).path == path


def test_a_run_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="makes the first one"):
        existing_folder(tmp_path, "pilot")
    make_run(tmp_path, "other")
    with pytest.raises(BadInput, match="Known runs: other"):
        existing_folder(tmp_path, "pilot")
    assert existing_folder(tmp_path, "other").name == "other"


def test_only_folders_with_a_journal_are_runs(tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    (tmp_path / "notes").mkdir()
    assert [folder.name for folder in all_folders(tmp_path)] == ["a"]
    assert all_folders(tmp_path / "none") == []


def test_the_default_name_follows_from_the_identity() -> None:
    one, other = identity_fields(RunConfig()), identity_fields(RunConfig(seed=1))
    assert default_name("rehearsal", one) == default_name("rehearsal", dict(reversed(one.items())))
    assert default_name("rehearsal", one) != default_name("rehearsal", other)
    assert open_folder(Path("runs"), default_name("rehearsal", one)).path.parent == Path("runs")


# --- the folder ------------------------------------------------------------------------------------


def test_the_folder_is_private_and_made_once(folder: RunFolder) -> None:
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    folder.make()


def test_everything_of_a_run_lies_in_its_folder(folder: RunFolder) -> None:
    paths = [
        folder.journal,
        folder.events,
        folder.settings,
        folder.conversations,
        folder.summary,
        folder.export,
    ]
    assert len(set(paths)) == 6
    assert {path.parent for path in paths} == {folder.path}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = RunFolder(tmp_path / "file" / "pilot")
    with pytest.raises(CannotWrite, match="--runs-dir"):
        folder.make()
    with pytest.raises(CannotWrite, match=r"run\.yaml"):
        folder.write_settings(RunConfig(), {}, None)


# --- run.yaml --------------------------------------------------------------------------------------


def write(folder: RunFolder, config: RunConfig, config_dir: Path | None = None) -> None:
    folder.write_settings(config, identity_fields(config), config_dir)


@pytest.mark.parametrize("fields", [{}, FULL], ids=["default", "full"])
def test_settings_come_back_as_they_were(folder: RunFolder, fields: dict[str, Any]) -> None:
    config = RunConfig.model_validate(fields)
    write(folder, config)
    again, config_dir = folder.read_settings()
    assert again == config
    assert identity_fields(again) == identity_fields(config)
    assert config_dir is None


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
@example("\x85")
@example("a\u2028b\u2029c\ufeff")
def test_any_text_survives_in_the_settings(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = RunFolder(tmp_path_factory.getbasetemp() / "texts")
    folder.make()
    stage = {"model": text, "stop": [text], "extra": {f"x_{text}": text}}
    config = RunConfig.model_validate(
        {"stages": {"simulator": stage}, "conversation": {"debrief": [{"side": "user", "question": text}]}}
    )
    write(folder, config)
    assert identity_fields(folder.read_settings()[0]) == identity_fields(config)


def test_the_settings_are_private_and_name_the_identity(folder: RunFolder) -> None:
    write(folder, RunConfig())
    assert stat.S_IMODE(folder.settings.stat().st_mode) == 0o600
    document = yaml.safe_load(folder.settings.read_text())
    assert document["identity"] == identity_fields(RunConfig())
    assert default_name("x", identity_fields(RunConfig())) == f"x-{document['identity_digest']}"
    assert {path.name for path in folder.path.iterdir()} == {"run.yaml", "settings.lock"}


def test_a_configuration_named_by_a_relative_path_resumes_from_anywhere(
    tmp_path: Path, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "c.yaml").write_text("profiles: pool.jsonl\n")
    monkeypatch.chdir(tmp_path)
    write(folder, load_config(Path("conf/c.yaml")), Path("conf"))
    monkeypatch.chdir(folder.path)
    config, config_dir = folder.read_settings()
    assert config.profiles == tmp_path / "conf" / "pool.jsonl"
    assert config_dir == tmp_path / "conf"


def test_an_edit_of_the_settings_is_checked_with_its_line(folder: RunFolder) -> None:
    write(folder, RunConfig())
    text = folder.settings.read_text()
    folder.settings.write_text(text.replace("concurrency: 64", "concurrency: 0"))
    line = text[: text.index("concurrency: 64")].count("\n") + 1
    with pytest.raises(ConfigError, match=rf"run\.yaml, line {line}: `concurrency` \(it is 0\)"):
        folder.read_settings()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a",
        "config",
        "config: 3",
        "config: [",
        "config:",
        "identity: {}",
        "config: {sed: 1}",
        "a: !!bool x",
    ],
)
def test_settings_that_are_broken_are_a_configuration_error(folder: RunFolder, text: str) -> None:
    folder.settings.write_text(text)
    with pytest.raises(ConfigError, match=r"run\.yaml"):
        folder.read_settings()


def test_a_folder_without_settings_is_no_run(folder: RunFolder) -> None:
    with pytest.raises(BadInput, match="no run"):
        folder.read_settings()
    folder.settings.mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        folder.read_settings()


def test_a_place_whose_name_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "ru\udcffns" / "r")
    for look in (folder.check_place, folder.make):
        with pytest.raises(CannotWrite, match="its name is not UTF-8"):
            look()
    assert not list(tmp_path.iterdir())
