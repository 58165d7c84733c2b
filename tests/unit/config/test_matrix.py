"""Cells and variants: who they are, what they take from their stage, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.load import parse_config
from engine.config.matrix import cell_names, cells_of, config_of_cell, variants_of
from engine.config.settings import RunConfig
from engine.errors import ConfigError
from engine.schema.conversation import Role

STAGES = "stages: {simulator: {model: s, top_p: 0.5}, assistant: {model: a, max_tokens: 90}}\n"


def config_of(text: str) -> RunConfig:
    return parse_config(text, source="study.yaml", folder=Path())


def test_without_a_matrix_there_is_one_cell_without_a_name() -> None:
    config = config_of(STAGES)
    assert cell_names(config) == ()
    (cell,) = cells_of(config).values()
    assert (cell.name, cell.simulator.key, cell.assistant.title) == ("", "user", "assistant")
    assert config_of_cell(config, cell).stages == config.stages
    assert list(variants_of(RunConfig())) == []


def test_a_variant_has_what_it_says_and_else_what_its_stage_has() -> None:
    config = config_of(
        STAGES + "matrix: {simulators: {warm: {temperatures: [0, 1.5]}}, assistants: {b: {model: b}}}"
    )
    assert cell_names(config) == ("warm-t0~b", "warm-t1.5~b")
    cell = cells_of(config)["warm-t1.5~b"]
    assert (cell.simulator.key, cell.simulator.place) == ("user@warm-t1.5", "matrix.simulators.warm")
    simulator, assistant = (cell.sides[role].settings for role in (Role.USER, Role.ASSISTANT))
    assert (simulator.model, simulator.top_p, simulator.temperature) == ("s", 0.5, 1.5)
    assert (assistant.model, assistant.max_tokens, assistant.temperature) == ("b", 90, 0.5)
    alone = config_of_cell(config, cell)
    assert alone.matrix is None
    assert (alone.stages["simulator"], alone.stages["assistant"]) == (simulator, assistant)


def test_a_variant_may_name_a_preset_whose_values_its_own_win_over() -> None:
    text = "presets: {p: {model: p, temperature: 0.1, top_p: 0.9}}\n" + STAGES
    config = config_of(text + "matrix: {assistants: {x: {preset: p, top_p: 0.2}}}\n")
    settings = cells_of(config)["x"].assistant.settings
    assert (settings.model, settings.temperature, settings.top_p, settings.max_tokens) == ("p", 0.1, 0.2, 90)


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        (
            "{assistants: {x: {temperature: 1, temperatures: [1]}}}",
            "give temperature or temperatures, not both",
        ),
        ("{assistants: {x: {temperatures: [1, 1]}}}", "temperatures names one of them twice"),
        ("{assistants: {x: {model: ''}}}", "leave it out for the stage's own"),
        ("{simulators: {x: {prompt: inattentive}}}", "simulator x cannot have a prompt"),
        ("{assistants: {X: {}}}", "a name here is lower-case letters"),
        ("{assistants: {x: {endpoint: nowhere}}}", "assistant x of the matrix names endpoint 'nowhere'"),
        ("{assistants: {x: {preset: nothing}}}", "assistant x names preset 'nothing'"),
        ("{assistents: {x: {}}}", "Did you mean `assistants`?"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(matrix: str, says: str) -> None:
    endpoints = "endpoints: {default: {base_url: 'http://h/v1'}}\n"
    with pytest.raises(ConfigError, match=r"study\.yaml, line \d") as refused:
        config_of(endpoints + STAGES + f"matrix: {matrix}\n")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        ("{assistants: {x: {temperatures: [1]}, x-t1: {}}}", "has two variants of the name x-t1"),
        (
            "{assistants: {" + ", ".join(f"x{n}: {{}}" for n in range(257)) + "}}",
            "has 257 cells; 256 are the most",
        ),
    ],
)
def test_cells_that_cannot_be_told_apart_or_are_too_many_are_refused(matrix: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        cells_of(config_of(STAGES + f"matrix: {matrix}\n"))


def test_a_side_that_nobody_names_a_model_for_is_refused() -> None:
    config = config_of("stages: {simulator: {model: s}}\nmatrix: {assistants: {x: {}}}\n")
    with pytest.raises(ConfigError, match=r"`matrix\.assistants\.x` names no model"):
        cells_of(config)
