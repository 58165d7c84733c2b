"""Which model a stage asks: what may be added to its requests."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from engine.config.model_settings import ModelSettings

OWN = ["model", "messages", "max_tokens", "temperature", "top_p", "stop", "seed", "stream", "n"]


@pytest.mark.parametrize("name", [*OWN, "prompt_cache_key", "stream_options"])
def test_extra_parameters_cannot_repeat_what_the_engine_sends(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        ModelSettings(model="m", extra={name: 1})


@pytest.mark.parametrize(
    "value",
    [b"x", {1, 2}, 2**70, {1: 2}, object(), "\ud800"],
    ids=["bytes", "set", "large", "number as key", "object", "half a character"],
)
def test_extra_parameters_are_json(value: object) -> None:
    with pytest.raises(ValidationError, match="not JSON"):
        ModelSettings(model="m", extra={"top_k": value})


def test_any_json_is_a_fine_extra_parameter() -> None:
    extra = {"top_k": 1, "reasoning": {"effort": "low", "tags": [None, True, 0.5]}}
    assert ModelSettings(model="m", extra=extra).extra == extra
