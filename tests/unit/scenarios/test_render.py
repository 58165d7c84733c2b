from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.scenarios.catalog import Catalog
from engine.scenarios.render import render_prompts
from engine.schema.profile import ASPECTS, Profile

TEMPLATES = Path(__file__).resolve().parents[3] / "templates"
PROFILE = Profile("p1", {aspect.key: f"value of {aspect.key}" for aspect in ASPECTS})


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """A copy of the shipped templates that a test may edit."""
    return shutil.copytree(TEMPLATES, tmp_path / "templates")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_all_scenarios_give_clean_and_distinct_prompts(language: str) -> None:
    catalog = Catalog.load(TEMPLATES, language)
    setups = set()
    for scenario in catalog.scenarios():
        prompts = render_prompts(catalog, scenario, PROFILE, assistant_prompt=True)
        assert prompts.assistant_setup is not None
        setups.add(prompts.simulator_setup)
        texts = [*prompts.simulator_setup, *list(dataclasses.astuple(prompts))[1:]]
        for text in texts:
            assert text
            assert not re.search(r"[{}]|\s$", text)
        assert scenario.text in prompts.simulator_setup[1]
        assert PROFILE.render(language) in prompts.simulator_setup[2]
    assert len(setups) == 22


@pytest.mark.parametrize(
    ("language", "phrase", "acknowledgement"),
    [("en", "Thank you, goodbye.", "Got it."), ("zh", "谢谢，再见。", "明白了。")],
)
def test_fixed_texts(language: str, phrase: str, acknowledgement: str) -> None:
    catalog = Catalog.load(TEMPLATES, language, ["travel"])
    prompts = render_prompts(catalog, catalog.scenario("travel", 1), PROFILE, assistant_prompt=False)
    assert prompts.end_phrase == phrase
    assert prompts.acknowledgement == acknowledgement
    assert prompts.end_prompt.startswith("[System] ")
    assert phrase in prompts.end_prompt
    assert "[System]" in prompts.simulator_setup[3]


def test_the_assistants_prompt_is_there_only_when_asked_for() -> None:
    catalog = Catalog.load(TEMPLATES, "en", ["travel"])
    scenario = catalog.scenario("travel", 1)
    assert render_prompts(catalog, scenario, PROFILE, assistant_prompt=False).assistant_setup is None
    asked = render_prompts(catalog, scenario, PROFILE, assistant_prompt=True)
    assert asked.assistant_setup is not None
    assert scenario.text not in asked.assistant_setup


def test_a_profile_is_data_and_comes_through_verbatim() -> None:
    nasty = "{{ 7*7 }} {% for %} {# x #} {{ scenario }} <b> & \"quoted\" 'it' \\n {"
    catalog = Catalog.load(TEMPLATES, "en", ["travel"])
    for profile in (
        Profile("p", {aspect.key: nasty for aspect in ASPECTS}),
        Profile("p", {}, text=f"1. Gender: {nasty}\r\n2. Age: 30"),
    ):
        prompts = render_prompts(catalog, catalog.scenario("travel", 1), profile, assistant_prompt=True)
        assert prompts.simulator_setup[2].endswith(profile.render("en"))


def test_what_is_kept_for_a_scenario_or_a_profile_never_shows_in_another(templates: Path) -> None:
    both = templates / "recipe" / "prompts" / "en"
    both.mkdir(parents=True)
    (both / "profile.jinja").write_text("{{ profile }}\n\n{{ scenario }}\n")
    catalog = Catalog.load(templates, "en", ["travel", "recipe"])
    other = Profile("p2", {aspect.key: "other" for aspect in ASPECTS})
    order = [(s, p) for s in catalog.scenarios() for p in (PROFILE, other)]
    warm = [render_prompts(catalog, s, p, assistant_prompt=True) for s, p in [*order, *reversed(order)]]
    for (scenario, profile), prompts in zip([*order, *reversed(order)], warm, strict=True):
        fresh = Catalog.load(templates, "en", ["travel", "recipe"])
        assert render_prompts(fresh, scenario, profile, assistant_prompt=True) == prompts
        assert profile.render("en") in prompts.simulator_setup[2]
    assert (len(catalog.memo), len(catalog.shown)) == (8, 2)


def test_a_task_overrides_any_prompt_for_itself_alone(templates: Path) -> None:
    own = templates / "travel" / "prompts" / "en"
    own.mkdir(parents=True)
    (own / "end_phrase.jinja").write_text("Bon voyage.\n")
    (own / "rules.jinja").write_text("Settle {{ requirements | listed }} for {{ task }}. {{ profile }}\n")
    catalog = Catalog.load(templates, "en", ["gifts", "travel"])
    travel = render_prompts(catalog, catalog.scenario("travel", 1), PROFILE, assistant_prompt=False)
    assert travel.end_phrase == "Bon voyage."
    assert "nothing else: Bon voyage." in travel.end_prompt
    assert travel.simulator_setup[3] == (
        "Settle accommodation, transport and a day-by-day itinerary for travel planning. "
        + PROFILE.render("en")
    )
    gifts = render_prompts(catalog, catalog.scenario("gifts", 1), PROFILE, assistant_prompt=False)
    assert gifts.end_phrase == "Thank you, goodbye."
    assert catalog.sources()["prompt/travel/end_phrase"] == "Bon voyage."
    assert catalog.sources()["prompt/end_phrase"] == "Thank you, goodbye."


def test_an_undefined_variable_names_template_and_variable(templates: Path) -> None:
    (templates / "_prompts" / "en" / "rules.jinja").write_text("a\n\n{{ pofile }}")
    with pytest.raises(BadInput, match=r"_prompts/en/rules\.jinja:3: there is no variable 'pofile'"):
        Catalog.load(templates, "en")


def test_an_undefined_attribute_names_the_template(templates: Path) -> None:
    (templates / "_prompts" / "en" / "rules.jinja").write_text("{{ profile.colour }}")
    catalog = Catalog.load(templates, "en", ["travel"])
    with pytest.raises(BadInput, match=r"_prompts/en/rules\.jinja: .*colour"):
        render_prompts(catalog, catalog.scenario("travel", 1), PROFILE, assistant_prompt=False)
