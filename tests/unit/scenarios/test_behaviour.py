from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.scenarios.behaviour import read_behaviour
from engine.scenarios.catalog import Catalog
from engine.scenarios.render import render_prompts
from engine.schema.profile import ASPECTS, Profile

TEMPLATES = Path(__file__).resolve().parents[3] / "templates"
PROFILE = Profile("p1", {aspect.key: f"value of {aspect.key}" for aspect in ASPECTS})


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    return shutil.copytree(TEMPLATES, tmp_path / "templates")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_texts_of_the_levels_join_the_simulators_set_up_alone(language: str) -> None:
    catalog = Catalog.load(TEMPLATES, language, ["travel"], with_behaviour=True)
    scenario = catalog.scenario("travel", 11)
    plain, hurried = (
        render_prompts(catalog, scenario, PROFILE, assistant_prompt=True, behaviour=behaviour)
        for behaviour in ("", "hurried.brief")
    )
    assert catalog.behaviour is not None
    assert hurried.simulator_setup[:-1] == plain.simulator_setup
    for text in catalog.behaviour.texts_of("hurried.brief"):
        assert text in hurried.simulator_setup[-1]
    assert hurried.simulator_setup[-1].count("\n- ") == 2
    assert hurried.assistant_setup == plain.assistant_setup
    assert not [text for text in catalog.behaviour.texts_of("patient") if text in hurried.simulator_setup[-1]]


def test_axes_are_sources_only_where_they_are_used(templates: Path) -> None:
    without = Catalog.load(templates, "en", ["travel"]).sources()
    used = Catalog.load(templates, "en", ["travel"], with_behaviour=True)
    assert set(used.sources()) - set(without) == {"behaviour/axes", "prompt/behaviour"}
    again = Catalog.from_sources(used.sources(), "en")
    assert dict(again.sources()) == dict(used.sources())
    assert again.levels_of("patient.brief") == {"patience": "patient", "verbosity": "brief"}
    shutil.rmtree(templates / "_behaviour")
    (templates / "_prompts" / "en" / "behaviour.jinja").unlink()
    assert dict(Catalog.load(templates, "en", ["travel"], with_behaviour=True).sources()) == dict(
        used.sources()
    )


@pytest.mark.parametrize(
    "behaviour", ["hurry", "hurried.patient", "brief.hurried", "hurried.", "hurried.hurried", ""]
)
def test_what_is_no_behaviour_is_refused_with_those_there_are(behaviour: str) -> None:
    axes = read_behaviour(TEMPLATES / "_behaviour" / "axes.yaml", "en")
    with pytest.raises(BadInput, match=r"is no behaviour of .*patience: patient, hurried; disclosure"):
        axes.levels_of(behaviour)


MISTAKES = {
    "twice": ("a:\n- {id: x, text: {en: X}}\nb:\n- {id: x, text: {en: Y}}\n", "the level 'x' stands twice"),
    "bad id": ("a:\n- {id: x.y, text: {en: X}}\n", r"a\.0\.id"),
    "no wording": ("a:\n- {id: x, text: {zh: X}}\n", "the wording for the language 'en' is missing"),
    "no level": ("a: []\n", "at least 1 item"),
    "not YAML": ("a: [\n", "not valid YAML"),
}


@pytest.mark.parametrize(("text", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_in_the_axes_are_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "axes.yaml").write_text(text)
    with pytest.raises(BadInput, match=rf"axes\.yaml.*{words}"):
        read_behaviour(tmp_path / "axes.yaml", "en")
