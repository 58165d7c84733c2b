"""What a run can be told, and what it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from engine.config.endpoint_settings import EndpointSettings
from engine.config.settings import RunConfig

URL = "http://127.0.0.1:8000/v1"


BAD_FIELDS: list[dict[str, Any]] = [
    {"seed": 2**63}, {"seed": -(2**63) - 1}, {"limit": 0}, {"limit": 2**80}, {"repeat": 0}, {"repeat": 2**80},
    {"concurrency": 0}, {"concurrency": 100_001}, {"retry_attempts": 0}, {"drain_s": -1},
    {"drain_s": float("inf")}, {"drain_s": float("nan")}, {"unreachable_after_s": float("inf")},
    {"language": "de"}, {"transport": "curl"}, {"rehearsal": {"defect_rate": 1.5}},
    {"conversation": {"max_rounds": 0}}, {"conversation": {"debrief": [{"side": "user", "question": ""}]}},
    {"stages": {"simulator": {"model": "m", "temperature": 2.1}}},
    {"stages": {"simulator": {"model": "m", "top_p": 0}}},
    {"stages": {"poet": {"model": "m"}}},
    {"endpoints": {"a": {"base_url": URL, "connect_timeout_s": 0}}},
    {"endpoints": {"a": {"base_url": URL, "limits": {"requests_per_min": 0}}}},
    {"endpoints": {"a": {"base_url": URL}}, "stages": {"simulator": {"model": "m", "endpoint": "b"}}},
]  # fmt: skip


@pytest.mark.parametrize("fields", BAD_FIELDS, ids=str)
def test_values_out_of_range_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RunConfig.model_validate(fields)


def test_the_configuration_is_frozen_and_knows_its_keys() -> None:
    config = RunConfig()
    with pytest.raises(ValidationError):
        config.seed = 2
    with pytest.raises(ValidationError):
        RunConfig.model_validate({"sed": 2})


def test_without_an_endpoint_it_is_a_rehearsal() -> None:
    assert RunConfig().is_rehearsal
    assert not RunConfig(endpoints={"default": EndpointSettings(base_url=URL)}).is_rehearsal
