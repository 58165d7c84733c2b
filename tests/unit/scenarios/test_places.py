from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.scenarios import places
from engine.scenarios.places import find_folder

REPOSITORY = Path(__file__).resolve().parents[3]


def _make_templates(parent: Path) -> Path:
    folder = parent / "templates"
    (folder / "gifts").mkdir(parents=True)
    (folder / "gifts" / "task.yaml").write_text("name: x\n")
    return folder


@pytest.fixture
def places_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout (with `src/engine`), a working directory and a config's folder, all empty."""
    for name in ("config", "here", "checkout/src/engine/_packed"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(places, "_PACKAGE", tmp_path / "checkout/src/engine")
    return tmp_path


def test_the_repositorys_own_templates_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_folder("templates") == REPOSITORY / "templates"


def test_places_are_tried_in_order(places_to_look: Path) -> None:
    config = places_to_look / "config"
    in_order = [
        _make_templates(parent)
        for parent in (
            config,
            places_to_look / "here",
            places_to_look / "checkout/src/engine/_packed",
            places_to_look / "checkout",
        )
    ]
    for expected in in_order:
        assert find_folder("templates", config) == expected
        (expected / "gifts" / "task.yaml").unlink()


def test_a_folder_without_a_task_does_not_hide_the_real_one(places_to_look: Path) -> None:
    (places_to_look / "here" / "templates").mkdir()
    (places_to_look / "here" / "templates" / "page.html").write_text("")
    expected = _make_templates(places_to_look / "checkout/src/engine/_packed")
    assert find_folder("templates") == expected


def test_a_wheel_has_no_repository_above_it(places_to_look: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_PACKAGE", places_to_look / "checkout/site-packages/engine")
    _make_templates(places_to_look / "checkout")
    with pytest.raises(BadInput):
        find_folder("templates")


def test_nothing_found_says_what_was_tried(places_to_look: Path) -> None:
    with pytest.raises(BadInput) as caught:
        find_folder("templates", places_to_look / "config")
    for place in ("config/templates", "here/templates", "_packed/templates", "checkout/templates"):
        assert str(places_to_look) in str(caught.value)
        assert place in str(caught.value)


def test_a_relative_config_folder_gives_an_absolute_path(places_to_look: Path) -> None:
    _make_templates(places_to_look / "here")
    assert find_folder("templates", Path()).is_absolute()


def test_another_folder_counts_when_it_holds_anything(places_to_look: Path) -> None:
    (places_to_look / "config" / "profiles").mkdir()
    (places_to_look / "here" / "profiles").mkdir()
    (places_to_look / "here" / "profiles" / "pool.jsonl").write_text("")
    assert find_folder("profiles", places_to_look / "config") == places_to_look / "here" / "profiles"
