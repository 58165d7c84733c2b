"""A request's head: what is sent, and what is refused before anything is."""

from __future__ import annotations

import traceback

import pytest

from engine.errors import TransportFailed
from engine.llm.request_head import request_head


@pytest.mark.parametrize(
    ("url", "origin", "host", "port", "line", "host_line"),
    [
        ("http://a.test/v1", "http://a.test", "a.test", 80, "/v1", "a.test"),
        ("https://a.test", "https://a.test", "a.test", 443, "/", "a.test"),
        ("http://a.test:80/v1", "http://a.test", "a.test", 80, "/v1", "a.test"),
        ("http://A.test:8000/v1?x=1", "http://a.test:8000", "a.test", 8000, "/v1?x=1", "a.test:8000"),
        ("http://[::1]:8000/", "http://[::1]:8000", "::1", 8000, "/", "[::1]:8000"),
        ("http://user:secret@a.test/", "http://a.test", "a.test", 80, "/", "a.test"),
        ("http://bücher.test/ü b%20c", "http://xn--bcher-kva.test", "xn--bcher-kva.test", 80,
         "/%C3%BC%20b%20c", "xn--bcher-kva.test"),
    ],
)  # fmt: skip
def test_an_address_is_read(url: str, origin: str, host: str, port: int, line: str, host_line: str) -> None:
    head = request_head(url, {})
    assert (head.origin, head.host, head.port) == (origin, host, port)
    lines = head.request(b"{}").decode("ascii").split("\r\n")
    assert lines[0] == f"POST {line} HTTP/1.1"
    assert lines[1] == f"host: {host_line}"
    assert lines[-3:] == ["content-length: 2", "", "{}"]
    assert "secret" not in repr(head)


def test_a_header_that_is_given_replaces_a_default_one() -> None:
    request = request_head("http://a.test/", {"Accept": "x/y", "Content-Length": "7", "x-key": "k"}).request(
        b""
    )
    assert request.count(b"accept:") == 1
    assert b"\r\naccept: x/y\r\n" in request
    assert b"\r\nx-key: k\r\n" in request
    assert request.endswith(b"\r\ncontent-length: 0\r\n\r\n")


@pytest.mark.parametrize(
    "url",
    ["", "a.test", "ftp://a.test", "http://", "http:///x", "http://a.test:x/", "http://a.test:70000/", "http://[::1",
     "http://a..test/", "http://a b/", f"http://{'a' * 64}.test/", "http://u:secret@a.test:secret/",
     "http://u:secret＠a℀b/"],
)  # fmt: skip
def test_an_unusable_address_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(TransportFailed) as caught:
        request_head(url, {})
    assert (caught.value.reason, caught.value.possibly_paid) == ("connect", False)
    assert caught.value.__context__ is None
    assert "http://u:" not in "".join(traceback.format_exception_only(caught.value))
