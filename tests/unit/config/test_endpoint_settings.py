"""Where requests go: which URLs and headers are taken, and where keys may not stand."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from engine.config.endpoint_settings import EndpointSettings

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


def test_a_proxy_names_its_password() -> None:
    for proxy in (
        "http://proxy.example:3128",
        "http://user:${PROXY_PASSWORD}@proxy.example:3128",
        "http://${PROXY_TOKEN}@proxy.example:3128",
    ):
        assert endpoint(proxy=proxy).proxy == proxy


@pytest.mark.parametrize("who", ["user:secret", "user", "${USER}:secret", "user:${PROXY_PASSWORD}x"])
def test_a_proxy_holds_no_password(who: str) -> None:
    with pytest.raises(ValidationError, match="copied into the run"):
        endpoint(proxy=f"http://{who}@proxy.example:3128")
