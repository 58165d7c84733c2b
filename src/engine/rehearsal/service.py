"""What is answered to which request: routes, the key, the in-flight limit, then the responder.

Bytes in, a `Reply` out; connections and timers are elsewhere.
"""

from __future__ import annotations

import hmac
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import orjson

from engine.rehearsal.asked import BadRequest, parse_body, read_asked
from engine.rehearsal.dialects import Dialect, dialect_of
from engine.rehearsal.replies import (
    Reply,
    bad_request_reply,
    completion_body,
    error_message,
    error_reply,
    models_body,
)
from engine.rehearsal.responder import answer
from engine.rehearsal.settings import RehearsalSettings, delay_seconds
from engine.rehearsal.streams import openai_events

# A script for tests: the parsed body and the raw one; None leaves the reply to the responder.
Replier = Callable[[dict[str, object], bytes], Reply | None]
RETRY_AFTER_S = 1
CHAT_PATH = "/v1/chat/completions"


@dataclass(slots=True)
class Stats:
    """Chat requests seen, in flight now and at most, replies sent by status (as text), and clients gone."""

    requests: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    disconnects: int = 0

    def as_json(self) -> bytes:
        return orjson.dumps(
            {
                "requests": self.requests,
                "in_flight": self.in_flight,
                "peak_in_flight": self.peak_in_flight,
                "by_status": dict(sorted(self.by_status.items())),
                "disconnects": self.disconnects,
            }
        )


class Service:
    """Decides replies and counts them. `begin_chat` and `end_chat` bracket the time a reply is pending."""

    def __init__(self, settings: RehearsalSettings, replier: Replier | None = None) -> None:
        self.settings = settings
        self.stats = Stats()
        self._replier = replier
        self._log_fd: int | None = None
        if settings.request_log is not None:
            self._log_fd = os.open(settings.request_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def close(self) -> None:
        """Close the request log; safe to call twice."""
        if self._log_fd is not None:
            os.close(self._log_fd)
            self._log_fd = None

    def __repr__(self) -> str:
        return f"Service({self.settings!r}, {self.stats!r})"

    def route(self, method: str, path: str) -> Reply | None:
        """The reply to anything but a chat request, for which it is None."""
        path = path.partition("?")[0]
        if path == CHAT_PATH or dialect_of(path) is not None:
            return (
                None if method == "POST" else error_reply(405, "Use POST here.", headers=(("allow", "POST"),))
            )
        bodies = {"/v1/models": models_body, "/stats": self.stats.as_json}
        if path not in bodies:
            return error_reply(404, f"Nothing is served at {path}.", code="not_found")
        if method != "GET":
            return error_reply(405, "Use GET here.", headers=(("allow", "GET"),))
        return Reply(body=bodies[path]())

    def is_authorised(self, authorization: bytes) -> bool:
        """Whether the header's value carries the key, if one is required."""
        key = self.settings.api_key
        return key is None or hmac.compare_digest(authorization, b"Bearer " + key.encode())

    def begin_chat(self, raw: bytes, authorization: bytes, path: str = CHAT_PATH) -> Reply:
        """The reply to a chat request, which counts as in flight until `end_chat`."""
        dialect = None if path == CHAT_PATH else dialect_of(path.partition("?")[0])
        reply = self._begin_chat(raw, authorization, dialect)
        if dialect is None or dialect.error is None or reply.status == 200:
            return reply
        return replace(reply, body=dialect.error(reply.status, error_message(reply)))

    def _begin_chat(self, raw: bytes, authorization: bytes, dialect: Dialect | None) -> Reply:
        stats = self.stats
        stats.requests += 1
        stats.in_flight += 1
        stats.peak_in_flight = max(stats.peak_in_flight, stats.in_flight)
        if not self.is_authorised(authorization):
            return error_reply(
                401, "The API key is missing or wrong.", kind="authentication_error", code="invalid_api_key"
            )
        try:
            body = parse_body(raw)
            self._log(body)
            limit = self.settings.max_in_flight
            if limit is not None and stats.in_flight > limit:
                return error_reply(
                    429,
                    f"More than {limit} requests in flight.",
                    kind="requests",
                    code="rate_limit_exceeded",
                    headers=(("retry-after", str(RETRY_AFTER_S)),),
                )
            if self._replier is not None and (scripted := self._replier(body, raw)) is not None:
                return scripted
            return self._answer(body, dialect)
        except BadRequest as error:
            return bad_request_reply(error)

    def end_chat(self) -> None:
        """The reply was sent or its client has gone."""
        self.stats.in_flight -= 1

    def _answer(self, body: dict[str, object], dialect: Dialect | None) -> Reply:
        asked = read_asked(body if dialect is None else _translated(body, dialect))
        settings = self.settings
        said = answer(
            asked, seed=settings.seed, defect_rate=settings.defect_rate, run_seed=settings.run_seed,
            judge_error_rate=settings.judge_error_rate,
        )  # fmt: skip
        whole = (
            completion_body(asked, said, settings.seed)
            if dialect is None or dialect.reply is None
            else dialect.reply(asked, said, settings.seed, body)
        )
        stream = openai_events if dialect is None else dialect.stream
        events = stream(whole, body) if stream is not None and body.get("stream") is True else ()
        return Reply(
            body=whole,
            events=events,
            headers=(("x-request-id", f"req_{said.digest:016x}"),),
            delay_s=delay_seconds(settings.delay, said.digest, said.completion_tokens),
        )

    def _log(self, body: dict[str, object]) -> None:
        """One write per line, so that a line is whole in the file even if the process is killed next."""
        if self._log_fd is not None:
            os.write(self._log_fd, orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE))


def _translated(body: dict[str, object], dialect: Dialect) -> dict[str, object]:
    asked = dialect.read(body)
    return {**asked, "model": dialect.model} if dialect.model else asked
