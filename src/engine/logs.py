"""Logs are event names with keys, written as JSON lines into the run's folder; no sentence, no utterance.

Secrets are registered where they are read, and every line is searched for them before it is written, in
the forms in which they could slip in (P7).
"""

from __future__ import annotations

import base64
import json
from collections.abc import MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import quote

import structlog

REDACTED = "[redacted]"
_URL_SAFE = str.maketrans("+/", "-_")


class Secrets:
    """Values that must never be written anywhere."""

    def __init__(self) -> None:
        self._forms: set[str] = set()

    def add(self, value: str) -> None:
        """Hide `value` and its encoded forms from now on, also without a scheme's word before it.

        Values under 6 characters would hide words.
        """
        for secret in {value, value.partition(" ")[2]}:
            if len(secret) < 6:
                continue
            encoded = base64.b64encode(secret.encode()).decode()
            forms = {
                secret,
                quote(secret, safe=""),
                json.dumps(secret)[1:-1],
                encoded,
                encoded.rstrip("="),
                encoded.translate(_URL_SAFE).rstrip("="),
            }
            # An event is JSON itself: what has quotes or backslashes is escaped once more in it.
            self._forms |= forms | {json.dumps(form, ensure_ascii=False)[1:-1] for form in forms}

    def hide(self, text: str) -> str:
        """`text` without any secret."""
        for form in sorted(self._forms, key=len, reverse=True):
            text = text.replace(form, REDACTED)
        return text

    def __repr__(self) -> str:
        return f"Secrets({len(self._forms)} forms)"


SECRETS = Secrets()


class EventLog:
    """`events.jsonl` of a run: `log.event("run.started", jobs=220)`. Closed by leaving its context."""

    def __init__(self, path: Path | None) -> None:
        self._file: TextIO | None = None
        if path is not None:
            # A file name from the system may hold what UTF-8 cannot; an event is never lost for it.
            self._file = path.open("a", encoding="utf-8", errors="backslashreplace")
            path.chmod(0o600)
        factory: Any = (
            structlog.WriteLoggerFactory(self._file) if self._file else structlog.ReturnLoggerFactory()
        )
        self._logger = structlog.wrap_logger(
            factory(),
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
                _hide_secrets,
            ],
        )

    def event(self, name: str, **keys: object) -> None:
        """Write one event."""
        self._logger.info(name, **keys)

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


def _hide_secrets(logger: object, method: str, line: MutableMapping[str, Any]) -> str:
    return SECRETS.hide(str(line))
