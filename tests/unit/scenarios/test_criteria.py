from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.scenarios.catalog import Catalog
from engine.scenarios.criteria import AspectWords, judge_tasks, load_aspect_words, never_drawn_on

TEMPLATES = Path(__file__).resolve().parents[3] / "templates"
EXAMPLE = TEMPLATES / "_examples" / "restaurant"


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    return shutil.copytree(TEMPLATES, tmp_path / "templates")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_shipped_tasks_meet_the_criteria(language: str) -> None:
    found = judge_tasks(Catalog.load(TEMPLATES, language), load_aspect_words(TEMPLATES))
    assert [task.flags for task in found] == [()] * 5
    by_slug = {task.slug: task for task in found}
    assert "spending_habits" in by_slug["gifts"].by_scenario[1]
    assert "travel_habits" in by_slug["newtravel"].by_scenario[0]
    assert "dining_preferences" in by_slug["recipe"].by_scenario[7]
    assert never_drawn_on(found) == ()


def test_options_that_no_scenario_has_are_named() -> None:
    (task,) = judge_tasks(Catalog.load(TEMPLATES, "en", ["travel"]), load_aspect_words(TEMPLATES))
    assert task.unused == (("days", "7"), ("kind", "xinjiang_work"))
    assert (len(task.by_scenario), task.combinations) == (4, 12)


def test_a_task_without_requirements_and_aspects_is_flagged(templates: Path) -> None:
    task = templates / "chat"
    task.mkdir()
    (task / "task.yaml").write_text(
        "name: chat\ntitle: {en: chat}\nscenarios: [0]\n"
        "variables:\n  topic: [{id: sky, text: {en: the sky}}]\n"
    )
    (task / "description.en.jinja").write_text("Talk about {{ topic }}.")
    (found,) = judge_tasks(Catalog.load(templates, "en", ["chat"]), load_aspect_words(templates))
    assert len(found.flags) == 2
    assert set(never_drawn_on([found])) == set(never_drawn_on([]))


def test_the_words_of_the_templates_folder_go_first(templates: Path) -> None:
    words = templates / "_scenarios" / "aspects.yaml"
    words.write_text("age: \\bthirty days\\b\n")
    (found,) = judge_tasks(Catalog.load(templates, "en", ["travel"]), load_aspect_words(templates))
    assert found.by_scenario == {1: (), 5: ("age",), 7: (), 11: ("age",)}
    assert found.aspects == ("age", "travel_habits")  # the second one by the task's own word
    shutil.rmtree(words.parent)
    assert load_aspect_words(templates).drawn_on("a tight budget") == ("spending_habits",)


@pytest.mark.parametrize(("text", "words"), [("ages: x", "no aspect"), ("age: '('", "no regular expression")])
def test_wrong_words_are_refused_by_name(templates: Path, text: str, words: str) -> None:
    (templates / "_scenarios" / "aspects.yaml").write_text(text)
    with pytest.raises(BadInput, match=rf"aspects\.yaml: .*{words}"):
        load_aspect_words(templates)


def test_aspects_come_in_the_profiles_order() -> None:
    words = AspectWords({"spending_habits": "price", "age": "age"})
    assert words.drawn_on("a PRICE for your age") == ("age", "spending_habits")
