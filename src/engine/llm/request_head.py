"""What of a request is the same for all calls to one URL with the same headers: made once.

The rule here: everything that a caller can get wrong about an address or a header is refused before a
connection is opened, in words that quote neither a header's value nor the parts of a URL that may be keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, urlsplit

from engine.errors import TransportFailed
from engine.llm.transport import USER_AGENT, origin_of, refuse_headers

_PORTS = {"http": 80, "https": 443}
_AS_IT_IS = "/?%:@!$&'()*+,;=-._~[]"


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Where a request goes, and its head up to the length of the content. Connections belong to origins."""

    origin: str
    host: str
    port: int
    is_tls: bool
    start: bytes = field(repr=False)

    def request(self, body: bytes) -> bytes:
        """The whole request, for one write."""
        return b"%b%d\r\n\r\n%b" % (self.start, len(body), body)


def request_head(url: str, headers: Mapping[str, str]) -> RequestHead:
    """Read a URL and headers; a header that is given replaces the default one of its name.

    Raises TransportFailed: reason `protocol` for a header, `connect` for a URL.
    """
    refuse_headers(headers)
    parts, host, port = _split(url)
    if parts.scheme not in _PORTS or not host.isprintable() or not host or " " in host:
        raise TransportFailed("connect", f"{origin_of(url)}: not a usable URL", possibly_paid=False)
    shown = f"[{host}]" if ":" in host else host
    if port is not None and port != _PORTS[parts.scheme]:
        shown += f":{port}"
    path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_AS_IT_IS)
    fields = {"host": shown, "accept": "*/*", "accept-encoding": "identity", "user-agent": USER_AGENT}
    fields.update((name.lower(), value) for name, value in headers.items())
    fields.pop("content-length", None)
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return RequestHead(
        f"{parts.scheme}://{shown}",
        host,
        _PORTS[parts.scheme] if port is None else port,
        parts.scheme == "https",
        "\r\n".join([*lines, "content-length: "]).encode("ascii"),
    )


def _split(url: str) -> tuple[SplitResult, str, int | None]:
    """(parts, the host as DNS spells it, port); no host where the URL is malformed."""
    try:
        parts = urlsplit(url)
        return parts, (parts.hostname or "").encode("idna").decode("ascii"), parts.port
    except ValueError:
        # Not passed on, not even as a cause: such an error quotes the user part.
        return urlsplit(""), "", None
