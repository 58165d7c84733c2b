"""An endpoint: a base URL with its key, its limits, its transport and what has been seen of it.

The key is read once, from the environment or a private file, and lives only in the headers that go to
the transport: it is in no `repr`, no log, no error and no file of a run (P7).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import quote, urlencode

from engine.config.endpoint_settings import EndpointSettings
from engine.config.secret_text import SECRET_HEADER
from engine.errors import CallFailed, ConfigError, EngineError
from engine.llm.breaker import Breaker
from engine.llm.lane import Lane
from engine.llm.limits import Admission
from engine.llm.transport import Transport
from engine.logs import FEWEST_LETTERS, SECRETS
from engine.wire.backoff import is_transient
from engine.wire.formats import FORMATS, OPENAI, Format

# Set where a client insists on a key and the server wants none; no secrets.
_NO_KEY = frozenset({"empty", "none", "dummy"})
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(slots=True, eq=False)
class Endpoint:
    """What the caller needs of an endpoint.

    `failing_since` is the monotonic time of the first failure after the last answer, or None. `refusal`
    is set once when the endpoint refuses us for good (key, quota, wrong address). `placed` counts the
    conversations' sides that live here; `misunderstood`, replies that were not in the endpoint's format;
    `unusable`, those that were and held no text, or broke off.
    `fails_widely` says whether what has failed since the last answer was more than one item's calls.

    `admission` is to the endpoint as a whole; `lane` gives that of one model, which lies within it.
    """

    name: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    transport: Transport = field(repr=False)
    admission: Admission
    call_timeout_s: float
    sends_cache_hint: bool = True
    format: Format = OPENAI
    in_flight: int = 0
    sent: int = 0
    has_answered: bool = False
    failing_since: float | None = None
    failing_item: str = ""
    fails_widely: bool = False
    last_reason: str = ""
    misunderstood: int = 0
    unusable: int = 0
    refusal: EngineError | None = None
    placed: int = 0
    open_lane: Callable[[str], Lane] | None = None
    lanes: dict[str, Lane] = field(default_factory=dict)
    breaker: Breaker = field(init=False)

    def __post_init__(self) -> None:
        self.breaker = Breaker(Random(self.name))

    def begin(self, now: float) -> None:
        """A call is sent."""
        self.sent += 1
        self.in_flight += 1
        self.breaker.begin(now)

    def lane(self, model: str) -> Lane:
        """What `model` may be asked here: the same for all stages that ask it."""
        lane = self.lanes.get(model)
        if lane is None:
            lane = Lane(self.admission) if self.open_lane is None else self.open_lane(model)
            self.lanes[model] = lane
        return lane

    def answered(self, now: float) -> None:
        """A call brought a reply."""
        self.has_answered = True
        self.failing_since = None
        self.breaker.succeed(now)

    def failed(self, failure: CallFailed, now: float, *, item: str) -> None:
        """A call of `item` brought none. What a living server says of this call alone counts for nothing."""
        self.last_reason = failure.reason
        if failure.reason in ("not_json", "wrong_shape"):
            self.misunderstood += 1
        elif failure.reason in ("no_content", "empty", "error_object", "broken_off"):
            self.unusable += 1
        if failure.reason == "throttled":
            self.has_answered = True
            self.failing_since = None
            self.breaker.abandon(now)
        elif is_transient(failure) or failure.reason in ("connect", "tls"):
            if self.failing_since is None:
                self.failing_since, self.failing_item, self.fails_widely = now, item, False
            self.fails_widely |= item != self.failing_item
            self.breaker.fail(now)
        else:
            self.has_answered = True
            self.failing_since = None
            self.breaker.succeed(now)


def request_url(settings: EndpointSettings) -> str:
    """Where calls are posted; `{model}` in it stands for the model's name."""
    query = f"?{urlencode(settings.query)}" if settings.query else ""
    return settings.base_url + FORMATS[settings.format].path + query


def url_for_model(url: str, model: str) -> str:
    """Where calls to `model` are posted."""
    return url.replace("{model}", quote(model, safe=":@")) if "{model}" in url else url


def request_headers(name: str, settings: EndpointSettings) -> dict[str, str]:
    """All headers of a request, the key among them. Raises ConfigError where the key is not to be had."""
    known = FORMATS[settings.format]
    accepted = "text/event-stream" if settings.stream else "application/json"
    headers = {"content-type": "application/json", "accept": accepted, **known.headers}
    key = _key(name, settings)
    if key is not None:
        _refuse_short_key(name, key, settings.key_env or str(settings.key_file))
        header = (settings.key_header or known.key_header).lower()
        headers[header] = f"Bearer {key}" if header == "authorization" else key
    for header, value in settings.headers.items():
        if SECRET_HEADER.search(header):
            for variable in _VARIABLE.findall(value):
                _refuse_short_key(name, _variable(name, variable), variable)
        headers[header.lower()] = _VARIABLE.sub(lambda match: _variable(name, match[1]), value)
    for header, value in headers.items():
        if not value.isascii() or not value.isprintable():
            raise ConfigError(
                f"endpoint {name}: the value of header {header!r} holds characters that HTTP does not allow "
                "(a line break at the end of a key, perhaps)."
            )
    return headers


def proxy_url(name: str, settings: EndpointSettings) -> str | None:
    """The proxy's address with its password from the environment. Raises ConfigError where none is set."""
    if settings.proxy is None:
        return None
    for password in _VARIABLE.findall(settings.proxy)[-1:]:
        _refuse_short_key(name, _variable(name, password), password)
        SECRETS.add(_variable(name, password))
    return _VARIABLE.sub(lambda match: quote(_variable(name, match[1]), safe=""), settings.proxy)


def _refuse_short_key(name: str, key: str, source: str) -> None:
    """Raise ConfigError for a key that could not be taken out of a text without taking words out too."""
    if len(key) < FEWEST_LETTERS and key.lower() not in _NO_KEY:
        raise ConfigError(
            f"endpoint {name}: the key in {source} has fewer than {FEWEST_LETTERS} characters; so short a "
            "one cannot be kept out of logs and errors. Use a longer key; where the server wants none, leave "
            "`key_env` and `key_file` away."
        )


def _key(name: str, settings: EndpointSettings) -> str | None:
    if settings.key_env is not None:
        return _variable(name, settings.key_env)
    if settings.key_file is not None:
        return _read_key_file(name, settings.key_file)
    return None


def _variable(name: str, variable: str) -> str:
    value = os.environ.get(variable, "").strip()
    if not value:
        raise ConfigError(
            f"endpoint {name}: the environment variable {variable} is not set. Set it to the endpoint's key, "
            "or name another one under `key_env`."
        )
    return value


def _read_key_file(name: str, path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError(
                f"endpoint {name}: the key file {path} is no file. Name one that holds the key."
            )
        if stat.S_IMODE(mode) & 0o077:
            raise ConfigError(
                f"endpoint {name}: the key file {path} can be read by others. "
                f"Make it private: chmod 600 {path}"
            )
        key = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"endpoint {name}: the key file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        # Without its cause: a decoding error's text would quote the key's bytes.
        raise ConfigError(f"endpoint {name}: the key file {path} is not UTF-8 text.") from None
    if not key:
        raise ConfigError(f"endpoint {name}: the key file {path} is empty.")
    return key
