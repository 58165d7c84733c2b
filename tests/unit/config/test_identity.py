"""Identity: each field that decides content is found by name; everything else may change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config.endpoint_settings import EndpointSettings
from engine.config.identity import (
    cells_in,
    compare,
    compare_runs,
    identity_digest,
    identity_fields,
    model_fields,
    refuse,
)
from engine.config.model_settings import MatrixSettings, ModelSettings, VariantSettings
from engine.config.settings import ConversationSettings, GateSettings, RunConfig

ENDPOINT = {"base_url": "http://h/v1", "key_env": "KEY"}
MODEL = {"model": "m", "endpoint": "a"}
START: dict[str, Any] = {
    "endpoints": {"a": ENDPOINT, "b": ENDPOINT},
    "stages": {"simulator": MODEL, "assistant": MODEL},
}


def fields_with(**changes: Any) -> dict[str, str]:
    return identity_fields(RunConfig.model_validate(START | changes))


def changed(**changes: Any) -> list[str]:
    return [name for name, _, _ in compare(fields_with(), fields_with(**changes))]


def stages(stage: str, **changes: Any) -> dict[str, Any]:
    return {"simulator": MODEL, "assistant": MODEL, stage: MODEL | changes}


MODEL_CHANGES: dict[str, Any] = {
    "model": "n", "temperature": None, "top_p": 0.5, "max_tokens": 7, "stop": ["x"], "send_seed": False,
    "extra": {"top_k": 1},
}  # fmt: skip
# Identity of the stages that ask about conversations, and of no conversation.
STAGE_CHANGES: dict[str, Any] = {"structured": "json_object", "context_tokens": 4096}
CONVERSATION_CHANGES: dict[str, Any] = {
    "setup": "paper", "opener": "assistant", "max_rounds": 3, "end_check": "paper", "assistant_prompt": False,
    "debrief": [{"side": "user", "question": "q"}],
}  # fmt: skip
ENDPOINT_CHANGES: dict[str, Any] = {
    "base_url": "https://i/v2", "key_env": "OTHER", "key_file": "k", "headers": {"X-Title": "t"},
    "limits": {
        "requests_per_min": 3, "tokens_per_min": 4, "input_tokens_per_min": 3, "output_tokens_per_min": 2,
        "max_in_flight": 5, "per_model": {"m": {"requests_per_min": 7}},
    }, "transport": "httpx",
    "ca_file": "ca.pem", "proxy": "http://p:1", "connect_timeout_s": 1, "call_timeout_s": 2,
    "cache_hint": False, "format": "gemini", "query": {"api-version": "1"}, "key_header": "api-key",
    "stream": True, "idle_timeout_s": 3,
}  # fmt: skip
FREE_CHANGES: dict[str, Any] = {
    "tasks": ["travel"], "templates": "t", "profiles": "p", "jobs": "j", "repeat": 2, "limit": 3,
    "concurrency": 4, "transport": "httpx", "validation": {"enabled": False, "drop": False},
    "rehearsal": {"defect_rate": 0.5, "latency_s": 1.0}, "retry_attempts": 2, "unreachable_after_s": 1,
    "drain_s": 1, "adaptive": False, "on_end": ["true"], "output": {"runs": "r", "name": "n"},
    "local": {"model": "m.gguf", "slots": 1, "context_tokens": 1024},
    "prices": {"m": {"input": 1, "cached_input": 0.5, "cache_write": 1.25, "output": 2}},
    "budget": {"max_cost_usd": 1.5, "max_tokens": 1000},
}  # fmt: skip


@pytest.mark.parametrize("stage", ["simulator", "assistant"])
@pytest.mark.parametrize(("name", "value"), MODEL_CHANGES.items())
def test_each_parameter_of_a_model_is_identity(stage: str, name: str, value: object) -> None:
    assert changed(stages=stages(stage, **{name: value})) == [f"{stage}.{name}"]


@pytest.mark.parametrize(("name", "value"), CONVERSATION_CHANGES.items())
def test_each_way_of_holding_a_conversation_is_identity(name: str, value: object) -> None:
    assert changed(conversation={name: value}) == [f"conversation.{name}"]


def test_the_spelling_of_a_field_is_not_identity() -> None:
    assert changed(stages=stages("simulator", max_tokens_field="max_completion_tokens")) == []


@pytest.mark.parametrize(("name", "value"), (MODEL_CHANGES | STAGE_CHANGES).items())
def test_parameters_of_other_stages_are_theirs(name: str, value: object) -> None:
    then, now = (model_fields(ModelSettings.model_validate(MODEL | more)) for more in ({}, {name: value}))
    assert [key for key in then if then[key] != now[key]] == [f"model.{name}"]
    if name in STAGE_CHANGES:
        assert changed(stages=stages("simulator", **{name: value})) == []


def test_seed_and_language_are_identity() -> None:
    assert changed(seed=1) == ["seed"]
    assert changed(language="zh") == ["language"]


@pytest.mark.parametrize(("name", "value"), ENDPOINT_CHANGES.items())
def test_nothing_about_an_endpoint_is_identity(name: str, value: object) -> None:
    endpoint = ENDPOINT | {name: value} | ({"key_env": None} if name == "key_file" else {})
    assert changed(endpoints={"a": endpoint, "b": ENDPOINT}) == []


@pytest.mark.parametrize(("name", "value"), FREE_CHANGES.items())
def test_what_may_change_between_a_start_and_a_resume_is_not_identity(name: str, value: object) -> None:
    assert changed(**{name: value}) == []


def test_which_endpoint_a_model_is_asked_at_is_not_identity() -> None:
    assert changed(stages=stages("simulator", endpoint="b")) == []


def test_gates_are_identity_where_they_are_used() -> None:
    assert changed(gates={"use": ["parrot"]}) == ["gates.regenerate", "gates.use", "gates.version"]
    assert changed(gates={"regenerate": 5}) == []
    one, other = ({"gates": {"use": names}} for names in (["parrot", "repeat"], ["repeat", "parrot"]))
    assert compare(fields_with(**one), fields_with(**other)) == []


def test_another_stages_model_is_not_the_conversations_identity() -> None:
    assert changed(stages={**START["stages"], "judge": MODEL}) == []


def test_a_rehearsals_defects_are_its_content_but_its_latency_is_not() -> None:
    def of(**rehearsal: float) -> dict[str, str]:
        return identity_fields(RunConfig.model_validate({"rehearsal": rehearsal}))

    assert [name for name, _, _ in compare(of(), of(defect_rate=0.2))] == ["rehearsal.defect_rate"]
    assert compare(of(), of(latency_s=2.0)) == []


# --- a matrix --------------------------------------------------------------------------------------

MATRIX: dict[str, Any] = {
    "simulators": {"small": {"model": "s", "temperatures": [0.2, 0.8]}},
    "assistants": {"plain": {}, "poor": {"prompt": "inattentive"}},
}


def matrix_fields(**changes: Any) -> dict[str, str]:
    return fields_with(matrix={**MATRIX, **changes})


def test_a_matrix_says_who_holds_each_cell_and_with_which_parameters() -> None:
    fields = matrix_fields()
    assert cells_in(fields) == {
        f"{simulator}~{assistant}": (simulator, assistant)
        for simulator in ("small-t0.2", "small-t0.8")
        for assistant in ("plain", "poor")
    }
    assert fields["simulator@small-t0.8.temperature"] == "0.8"
    assert fields["assistant@plain.model"] == '"m"'
    assert fields["assistant@poor.prompt"] == '"inattentive"'
    assert not any(name.startswith(("simulator.", "assistant.")) for name in fields)


def test_a_matrix_may_grow_and_what_was_there_stays() -> None:
    then = matrix_fields()
    grown = matrix_fields(assistants={**MATRIX["assistants"], "third": {"model": "t"}})
    assert compare_runs(then, grown) == []
    assert {name for name, _, _ in compare_runs(grown, then)} >= {
        "cell small-t0.2~third", "cell small-t0.8~third", "assistant@third.model",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("variant", "field"),
    [
        ({"prompt": "inattentive", "max_tokens": 7}, "max_tokens"),
        ({"prompt": "other"}, "prompt"),
        ({}, "prompt"),
    ],
)
def test_a_variant_that_changes_is_named_with_its_field(variant: dict[str, Any], field: str) -> None:
    changed = matrix_fields(assistants={"plain": {}, "poor": variant})
    assert [name for name, _, _ in compare_runs(matrix_fields(), changed)] == [f"assistant@poor.{field}"]


def test_a_prompt_that_a_variant_gets_later_is_a_change() -> None:
    changed = matrix_fields(
        assistants={"plain": {"prompt": "inattentive"}, "poor": {"prompt": "inattentive"}}
    )
    assert [name for name, _, _ in compare_runs(matrix_fields(), changed)] == ["assistant@plain.prompt"]


def test_a_run_without_a_matrix_cannot_become_one() -> None:
    assert "simulator.model" in {name for name, _, _ in compare_runs(fields_with(), matrix_fields())}
    assert "simulator.model" in {name for name, _, _ in compare_runs(matrix_fields(), fields_with())}


def test_a_stage_is_identity_where_a_variant_takes_over_its_key() -> None:
    stage = {**START["stages"], "assistant": MODEL | {"top_p": 0.5}}
    changed = compare_runs(matrix_fields(), fields_with(matrix=MATRIX, stages=stage))
    assert [name for name, _, _ in changed] == ["assistant@plain.top_p", "assistant@poor.top_p"]


def test_a_matrix_that_went_through_json_is_the_same() -> None:
    config = RunConfig.model_validate(START | {"matrix": MATRIX})
    again = RunConfig.model_validate_json(config.model_dump_json())
    assert again == config
    assert identity_fields(again) == identity_fields(config)


def test_every_setting_is_classified_here() -> None:
    """A new setting fails this test until someone decides whether it is identity."""
    assert set(ModelSettings.model_fields) == {*MODEL_CHANGES, *STAGE_CHANGES, "endpoint", "max_tokens_field"}
    assert set(ConversationSettings.model_fields) == set(CONVERSATION_CHANGES)
    assert set(EndpointSettings.model_fields) == set(ENDPOINT_CHANGES)
    assert set(GateSettings.model_fields) == {"use", "regenerate"}
    assert set(MatrixSettings.model_fields) == {"simulators", "assistants"}
    assert set(VariantSettings.model_fields) == {*ModelSettings.model_fields, "temperatures", "prompt"}
    mixed = {"seed", "language", "endpoints", "stages", "conversation", "gates", "matrix"}
    assert set(RunConfig.model_fields) == {*FREE_CHANGES, *mixed}


def test_the_order_of_extra_parameters_is_not_identity() -> None:
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    before, after = stages("simulator", extra=one), stages("simulator", extra=other)
    assert compare(fields_with(stages=before), fields_with(stages=after)) == []


def test_a_configuration_that_went_through_json_is_the_same() -> None:
    config = RunConfig.model_validate(START)
    again = RunConfig.model_validate_json(config.model_dump_json())
    assert identity_fields(again) == identity_fields(config)


# --- comparing -------------------------------------------------------------------------------------

FIELDS = st.dictionaries(st.text(max_size=4), st.text(max_size=4) | st.just("-"), max_size=5)


@given(FIELDS, FIELDS)
def test_comparing_finds_exactly_what_differs(then: Mapping[str, str], now: Mapping[str, str]) -> None:
    names = [name for name, _, _ in compare(then, now)]
    assert names == sorted(n for n in then.keys() | now.keys() if then.get(n) != now.get(n))
    assert [(n, b, a) for n, a, b in compare(then, now)] == compare(now, then)


@given(FIELDS, FIELDS)
def test_the_digest_is_a_function_of_the_fields(one: dict[str, str], other: dict[str, str]) -> None:
    assert identity_digest(one) == identity_digest(dict(reversed(one.items())))
    assert (identity_digest(one) == identity_digest(other)) == (one == other)
    assert len(identity_digest(one)) == 8


def test_a_refusal_names_each_field_and_what_to_do() -> None:
    error = refuse("pilot", compare({"seed": "1", "x": "2"}, {"seed": "3", "x": "2"}))
    assert error.differences == [("seed", "1", "3")]
    assert "seed: then 1, now 3" in str(error)
    assert "--run NAME" in str(error)


def test_a_long_difference_is_shown_where_it_begins() -> None:
    same = "x" * 500
    message = str(refuse("pilot", [("template", f"{same}OLD{same}", f"{same}NEW{same}")]))
    assert "OLD" in message
    assert "NEW" in message
    assert len(message) < 500


def test_a_long_list_is_cut() -> None:
    error = refuse("pilot", [(f"field{n:03}", "1", "2") for n in range(100)])
    assert "field019" in str(error)
    assert "field020" not in str(error)
    assert "and 80 more" in str(error)
    assert len(error.differences) == 100
