"""What a run can be told, and what it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from engine.config.settings import EndpointSettings, ModelSettings, RunConfig

URL = "http://127.0.0.1:8000/v1"


def endpoint(**fields: Any) -> EndpointSettings:
    return EndpointSettings.model_validate({"base_url": URL} | fields)


@pytest.mark.parametrize("given", [URL, f"{URL}/", f"{URL}/chat/completions", f"{URL}/chat/completions/"])
def test_a_base_url_ends_before_the_path_of_calls(given: str) -> None:
    assert endpoint(base_url=given).base_url == URL


BAD_URLS = [
    "", "localhost:8000", "ftp://h/v1", "http://", "http:///v1", "http://[", "http://[::1", "http://h:99999",
    "http://h:x", "http://h:0", "http://h/a b", "http://h/\n", "https://sk-secret@h/v1", "https://u:sk-secret@h",
    "https://h/v1?key=sk-secret", "https://h/v1#sk-secret", "file:///etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("url", BAD_URLS)
def test_what_is_no_base_url_is_refused_without_quoting_a_key(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        endpoint(base_url=url)
    assert all("sk-secret" not in item["msg"] for item in caught.value.errors())


@pytest.mark.parametrize("url", ["http://[::1]:8000/v1", "https://xn--bcher-kva.example", "HTTP://h/v1"])
def test_odd_but_good_base_urls_are_taken(url: str) -> None:
    assert endpoint(base_url=url).base_url == url


@pytest.mark.parametrize(
    "name",
    ["Authorization", "authorization", "x-api-key", "Cookie", "X-Auth", "api_token", "X-Client-Secret"],
)
def test_a_header_that_looks_like_a_key_is_refused_unless_it_names_a_variable(name: str) -> None:
    with pytest.raises(ValidationError, match="looks like a key") as caught:
        endpoint(headers={name: "sk-secret"})
    assert "sk-secret" not in caught.value.errors()[0]["msg"]
    assert endpoint(headers={name: "Bearer ${NAME}"}).headers == {name: "Bearer ${NAME}"}


def test_an_ordinary_header_is_taken() -> None:
    assert endpoint(headers={"X-Title": "study"}).headers == {"X-Title": "study"}


def test_a_key_comes_from_one_place() -> None:
    with pytest.raises(ValidationError, match="not both"):
        endpoint(key_env="KEY", key_file="key")


def test_a_proxy_holds_no_password() -> None:
    assert endpoint(proxy="http://proxy.example:3128").proxy == "http://proxy.example:3128"
    with pytest.raises(ValidationError, match="copied into the run"):
        endpoint(proxy="http://user:secret@proxy.example:3128")


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
    assert not RunConfig(endpoints={"default": endpoint()}).is_rehearsal
