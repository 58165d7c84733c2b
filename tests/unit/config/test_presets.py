"""Presets: a stage's keys under a name, resolved when the file is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.identity import identity_fields
from engine.config.load import parse_config
from engine.config.model_settings import ModelSettings
from engine.config.settings import RunConfig
from engine.errors import ConfigError

ENDPOINTS = "endpoints:\n  lab: {base_url: http://h/v1}\n  far: {base_url: http://i/v1}\n"


def parse(text: str) -> RunConfig:
    return parse_config(ENDPOINTS + text, source="c.yaml", folder=Path("/study"))


def test_a_stage_takes_its_presets_keys_and_its_own_win() -> None:
    config = parse(
        "presets:\n  cheap: {endpoint: lab, model: m, temperature: 0.2, extra: {a: 1}}\n"
        "stages:\n  simulator: {preset: cheap}\n"
        "  assistant: {preset: cheap, model: n, extra: {b: 2}}\n  judge: {preset: cheap, top_p: 0.9}\n"
    )
    common = {"endpoint": "lab", "temperature": 0.2}
    assert config.stages == {
        "simulator": ModelSettings.model_validate(common | {"model": "m", "extra": {"a": 1}}),
        "assistant": ModelSettings.model_validate(common | {"model": "n", "extra": {"b": 2}}),
        "judge": ModelSettings.model_validate(common | {"model": "m", "extra": {"a": 1}, "top_p": 0.9}),
    }


def test_identity_is_that_of_the_resolved_values() -> None:
    plain = parse("stages:\n  simulator: {endpoint: lab, model: m, temperature: 0.2}\n")
    preset = parse(
        "presets:\n  p: {endpoint: lab, temperature: 0.2}\nstages:\n  simulator: {preset: p, model: m}\n"
    )
    changed = parse(
        "presets:\n  p: {endpoint: lab, temperature: 0.3}\nstages:\n  simulator: {preset: p, model: m}\n"
    )
    assert preset == plain
    assert identity_fields(preset) == identity_fields(plain) != identity_fields(changed)


def test_a_file_with_presets_and_no_stage_is_the_same_without_them() -> None:
    assert parse("presets:\n  p: {temperature: 0.2}\n") == parse("")
    assert parse("presets:\n") == parse("presets: {}\n") == parse("")


MISTAKES = {
    "unknown": (
        "presets:\n  cheap: {model: m}\nstages:\n  simulator:\n    preset: cheep\n", 8,
        "Did you mean `cheap`?",
    ),
    "unknown and none near": ("stages:\n  simulator: {preset: x}\n", 5, "There are: none."),
    "not a name": ("stages:\n  simulator: {preset: [x]}\n", 5, "names preset"),
    "typo of the word": ("stages:\n  simulator: {presett: x, model: m}\n", 5, "Did you mean `preset`?"),
    "typo of the section": ("preset:\n  x: {}\n", 4, "Did you mean `presets`?"),
    "unknown key in an unused one": ("presets:\n  p:\n    temprature: 1\n", 6, "Did you mean `temperature`?"),
    "wrong value": ("presets:\n  p:\n    temperature: 9\n", 6, "`presets.p.temperature` (it is 9)"),
    "no model anywhere": (
        "presets:\n  p: {top_p: 1}\nstages:\n  simulator: {preset: p}\n", 7,
        "`stages.simulator.model` is missing",
    ),
    "a preset of a preset": ("presets:\n  p: {preset: q}\n  q: {}\n", 5, "unknown key `presets.p.preset`"),
    "no mapping": ("presets:\n  p: m\n", 5, "`presets.p` (it is no group of keys): write"),
    "a list": ("presets: [p]\n", 4, "`presets` (it is no group of keys): write names"),
    "an unknown endpoint": (
        "presets:\n  p: {endpoint: lob, model: m}\nstages:\n  simulator: {preset: p}\n", 5,
        "names endpoint 'lob'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert f"c.yaml, line {line}: " in str(caught.value)
    assert words in str(caught.value)
