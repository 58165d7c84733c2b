from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.scenarios.catalog import OPTIONAL_PROMPTS, PROMPT_NAMES, Catalog

TEMPLATES = Path(__file__).resolve().parents[3] / "templates"

# Task, scenario number, values of the variables: as the reference data numbers them.
REFERENCE = {
    ("travel", 1): ("summer", "2", "free"),
    ("travel", 5): ("summer", "30", "free"),
    ("travel", 7): ("winter", "2", "free"),
    ("travel", 11): ("winter", "30", "free"),
    ("newtravel", 0): ("summer", "weekend", "xian_culture"),
    ("newtravel", 5): ("summer", "month", "free"),
    ("newtravel", 7): ("december", "weekend", "free"),
    ("newtravel", 9): ("december", "fortnight", "free"),
    ("skills", 0): ("python", "beginner", "work"),
    ("skills", 2): ("python", "experienced", "work"),
    ("skills", 4): ("video_editing", "beginner", "work"),
    ("skills", 7): ("video_editing", "experienced", "interest"),
    ("skills", 9): ("french", "beginner", "interest"),
    ("gifts", 1): ("teacher", "holiday"),
    ("gifts", 4): ("grandmother", "holiday"),
    ("gifts", 5): ("grandmother", "visit"),
    ("gifts", 6): ("nephew", "birthday"),
    ("gifts", 10): ("partner", "holiday"),
    ("recipe", 0): ("alone", "novice"),
    ("recipe", 3): ("loved_one", "skilled"),
    ("recipe", 4): ("three_friends", "novice"),
    ("recipe", 7): ("birthday_ten", "skilled"),
}
NAMES = {
    "gifts": "preparing gifts",
    "newtravel": "new travel planning",
    "recipe": "recipe planning",
    "skills": "skills learning planning",
    "travel": "travel planning",
}
MERGE_ASPECTS = {"newtravel": "travel_habits", "travel": "travel_habits", "recipe": "dining_preferences"}


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """A copy of the shipped templates that a test may edit."""
    return shutil.copytree(TEMPLATES, tmp_path / "templates")


def _edit(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_scenarios_are_those_of_the_reference_in_stable_order(language: str) -> None:
    catalog = Catalog.load(TEMPLATES, language)
    scenarios = catalog.scenarios()
    assert [(s.task, s.number) for s in scenarios] == sorted(REFERENCE)
    assert {(s.task, s.number): tuple(s.variables.values()) for s in scenarios} == REFERENCE
    assert {slug: task.name for slug, task in catalog.tasks.items()} == NAMES
    assert {s: t.merge_aspect for s, t in catalog.tasks.items() if t.merge_aspect} == MERGE_ASPECTS
    assert all(s.task_name == NAMES[s.task] and s.language == language for s in scenarios)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_combination_renders_cleanly_and_differs_from_all_others(language: str) -> None:
    catalog = Catalog.load(TEMPLATES, language)
    scenarios = [
        catalog.scenario(slug, number)
        for slug, task in catalog.tasks.items()
        for number in range(task.file.n_combinations)
    ]
    assert len({scenario.text for scenario in scenarios}) == len(scenarios) == 56
    for scenario in scenarios:
        for paragraph in scenario.text.split("\n\n"):
            assert not re.search(r"[{}]|\s\s|\n|^\s|\s$|namespace|[,.]{2}|。。", paragraph), paragraph
        assert "LLM" in scenario.text
        for requirement in scenario.requirements:
            assert requirement in scenario.text


def test_the_other_language_does_not_show_through() -> None:
    for scenario in Catalog.load(TEMPLATES, "en").scenarios():
        assert not re.search(r"[\u3000-\u9fff]", scenario.text)
    for scenario in Catalog.load(TEMPLATES, "zh").scenarios():
        assert set(re.findall(r"[A-Za-z]+", scenario.text)) <= {"LLM", "Python"}


def test_thirty_free_days_in_winter_say_all_that_they_have_to() -> None:
    english = Catalog.load(TEMPLATES, "en").scenario("travel", 11)
    for words in (
        "this winter",
        "thirty days",
        "no fixed destination",
        "an AI assistant (an LLM)",
        "accommodation",
        "transport",
        "itinerary",
        "a complete and realistic plan that you could really follow",
    ):
        assert words in english.text
    assert english.requirements == ("accommodation", "transport", "a day-by-day itinerary")
    chinese = Catalog.load(TEMPLATES, "zh").scenario("travel", 11)
    for words in (
        "今年冬天",
        "三十天",
        "目的地没有限定",
        "大语言模型",
        "住宿",
        "交通",
        "行程",
        "真的能照着它走",
    ):
        assert words in chinese.text


def test_a_task_is_added_by_adding_a_folder_and_nothing_else(templates: Path) -> None:
    before = Catalog.load(templates, "en").sources()
    folder = templates / "restaurant"
    folder.mkdir()
    (folder / "task.yaml").write_text(
        """\
name: choosing a restaurant
title: {en: choosing a restaurant, zh: 选餐厅}
merge_aspect: dining_preferences
variables:
  meal:
    - {id: lunch, text: {en: lunch, zh: 午饭}}
    - {id: dinner, text: {en: dinner, zh: 晚饭}}
  guests:
    - {id: colleagues, text: {en: your colleagues, zh: 同事}}
    - {id: parents, text: {en: your parents, zh: 父母}}
requirements:
  - {id: place, text: {en: where to go, zh: 去哪里}}
  - {id: booking, text: {en: how to book a table, zh: 怎么订位}}
scenarios: [3, 0]
""",
        encoding="utf-8",
    )
    (folder / "description.en.jinja").write_text(
        "You are taking {{ guests }} out for {{ meal }}. Find out {{ requirements | listed }}.\n"
    )
    (folder / "description.zh.jinja").write_text(
        "你要请{{ guests }}吃{{ meal }}，想弄清楚{{ requirements | listed }}。\n", encoding="utf-8"
    )
    catalog = Catalog.load(templates, "en")
    assert list(catalog.tasks) == sorted([*NAMES, "restaurant"])
    added = [scenario for scenario in catalog.scenarios() if scenario.task == "restaurant"]
    assert [scenario.number for scenario in added] == [0, 3]
    assert (
        added[1].text
        == "You are taking your parents out for dinner. Find out where to go and how to book a table."
    )
    assert added[1].variables == {"meal": "dinner", "guests": "parents"}
    assert Catalog.load(templates, "zh").scenario("restaurant", 3).text == (
        "你要请父母吃晚饭，想弄清楚去哪里以及怎么订位。"
    )
    # The tasks that were there before keep their identity.
    assert before.items() <= catalog.sources().items()


def test_any_number_of_the_product_can_be_asked_for_and_no_other() -> None:
    catalog = Catalog.load(TEMPLATES, "en", ["travel"])
    assert "Xinjiang" in catalog.scenario("travel", 0).text
    assert catalog.scenario("travel", 0) is catalog.scenario("travel", 0)
    for number in (-1, 12):
        with pytest.raises(BadInput, match="from 0 to 11"):
            catalog.scenario("travel", number)
    with pytest.raises(BadInput, match="known ones: travel"):
        catalog.scenario("gifts", 1)


def test_only_the_tasks_asked_for_are_read(templates: Path) -> None:
    (templates / "gifts" / "task.yaml").write_text("broken: [")
    catalog = Catalog.load(templates, "en", ["travel", "recipe", "travel"])
    assert list(catalog.tasks) == ["recipe", "travel"]
    assert repr(catalog).startswith("<Catalog en: 2 tasks, 8 scenarios")
    with pytest.raises(BadInput, match=r"gifts/task\.yaml:1: "):
        Catalog.load(templates, "en")


def test_an_unknown_task_is_refused_with_a_suggestion() -> None:
    with pytest.raises(BadInput, match=r"no task 'recipes'.*did you mean 'recipe'\?.*gifts, newtravel"):
        Catalog.load(TEMPLATES, "en", ["recipes"])


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(BadInput, match="'fr' is not known; use one of en, zh"):
        Catalog.load(TEMPLATES, "fr")


def test_sources_hold_what_decides_the_content_and_are_stable() -> None:
    sources = Catalog.load(TEMPLATES, "zh", ["gifts"]).sources()
    assert list(sources) == sorted(
        [f"prompt/{name}" for name in PROMPT_NAMES if name not in OPTIONAL_PROMPTS]
        + ["task/gifts/description", "task/gifts/task"]
    )
    assert sources["prompt/end_phrase"] == "谢谢，再见。"
    assert "重阳节" in sources["task/gifts/task"]
    assert "Double Ninth" not in sources["task/gifts/task"]
    assert dict(sources) == dict(Catalog.load(TEMPLATES, "zh", ["gifts"]).sources())


def test_layout_comments_and_the_other_language_do_not_change_the_sources(templates: Path) -> None:
    before = Catalog.load(templates, "en", ["travel"]).sources()
    task = templates / "travel" / "task.yaml"
    _edit(task, "今年夏天", "夏天")
    _edit(task, "name: travel planning", "# a comment\nname:   'travel planning'")
    (templates / "travel" / "description.zh.jinja").write_text("{{ season }}{{ days }}{{ kind }}")
    (templates / "gifts" / "description.en.jinja").unlink()
    assert dict(Catalog.load(templates, "en", ["travel"]).sources()) == dict(before)


@pytest.mark.parametrize(
    ("path", "before", "after", "changed"),
    [
        ("travel/task.yaml", "thirty days", "a month", "task/travel/task"),
        ("travel/description.en.jinja", "realistic", "sound", "task/travel/description"),
        ("_prompts/en/rules.jinja", "Write in English.", "Write English.", "prompt/rules"),
    ],
)
def test_an_edit_changes_exactly_its_own_source(
    templates: Path, path: str, before: str, after: str, changed: str
) -> None:
    then = Catalog.load(templates, "en", ["travel"]).sources()
    _edit(templates / path, before, after)
    now = Catalog.load(templates, "en", ["travel"]).sources()
    assert [name for name in now if now[name] != then[name]] == [changed]


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("travel/description.en.jinja", "{{ season }} {{ day }}", r"description\.en\.jinja:1: .*'day'.*days"),
        ("travel/description.en.jinja", "{{ season }} {{ days }}", "does not use kind, requirements"),
        (
            "travel/description.en.jinja",
            "{{ season.colour }} {{ days }} {{ kind }} {{ requirements }}",
            r"description\.en\.jinja: .*colour",
        ),
        ("_prompts/en/end_phrase.jinja", "\n", "end_phrase.jinja is empty"),
        ("_prompts/en/assistant.jinja", "{{ profile }}", "no variable 'profile'"),
        ("travel/prompts/en/rule.jinja", "x", r"rule\.jinja is no prompt; did you mean 'rules'"),
        ("Hotels/task.yaml", "x", "rename it"),
        ("hotels/task.yml", "x", "has no task.yaml"),
    ],
)
def test_a_broken_folder_is_refused_at_loading(templates: Path, path: str, text: str, message: str) -> None:
    (templates / path).parent.mkdir(parents=True, exist_ok=True)
    (templates / path).write_text(text)
    with pytest.raises(BadInput, match=message):
        Catalog.load(templates, "en")


@pytest.mark.parametrize("path", ["travel/description.en.jinja", "_prompts/en/rules.jinja"])
def test_a_missing_file_is_named(templates: Path, path: str) -> None:
    (templates / path).unlink()
    with pytest.raises(BadInput, match=f"{path} is missing"):
        Catalog.load(templates, "en")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        Catalog.load(tmp_path / "nowhere", "en")
