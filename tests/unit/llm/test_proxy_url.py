"""A proxy's password comes from the environment and is shown nowhere."""

from __future__ import annotations

import pytest

from engine.config.endpoint_settings import EndpointSettings
from engine.errors import ConfigError
from engine.llm.endpoint import proxy_url
from engine.logs import SECRETS

PROXY = "http://user:${PROXY_PASSWORD}@proxy.example:3128"


def settings(proxy: str | None) -> EndpointSettings:
    return EndpointSettings(base_url="http://model.example/v1", proxy=proxy)


def test_what_names_no_variable_stays_as_it_is() -> None:
    assert proxy_url("a", settings(None)) is None
    assert proxy_url("a", settings("http://proxy.example:3128")) == "http://proxy.example:3128"


def test_the_password_is_quoted_and_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_PASSWORD", "swordfish@/:7")
    assert proxy_url("a", settings(PROXY)) == "http://user:swordfish%40%2F%3A7@proxy.example:3128"
    assert "swordfish" not in SECRETS.hide("refused: swordfish@/:7")


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROXY_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match="endpoint a: the environment variable PROXY_PASSWORD is not set"):
        proxy_url("a", settings(PROXY))
