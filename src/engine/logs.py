"""Logs are event names with keys, written as JSON lines into the run's folder; no sentence, no utterance.

Secrets are registered where they are read, and every line is searched for them before it is written, in
the forms in which they could slip in (P7). What is written stays small: a file has a largest size and one
predecessor, and an event that comes again and again is counted instead.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TextIO, cast
from urllib.parse import quote

import structlog

from engine.errors import CannotWrite

REDACTED = "[redacted]"
# Of a secret that can be hidden.
FEWEST_LETTERS = 6
_URL_SAFE = str.maketrans("+/", "-_")


class Secrets:
    """Values that must never be written anywhere."""

    def __init__(self) -> None:
        self._forms: set[str] = set()

    def add(self, value: str) -> None:
        """Hide `value` and its encoded forms from now on, also without a scheme's word before it.

        Values under `FEWEST_LETTERS` would hide words; no endpoint takes one for its key.
        """
        for secret in {value, value.partition(" ")[2]}:
            if len(secret) < FEWEST_LETTERS:
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

MAX_BYTES = 16 * 1024**2
FEW, FEW_WITHIN_S = 20, 60.0


class _BoundedFile:
    """A text file that is renamed to `<name>.1<suffix>` and begun anew before it grows beyond `max_bytes`."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._file = self._open()

    def _open(self) -> BinaryIO:
        try:
            file = self._path.open("ab", buffering=0)
            self._path.chmod(0o600)
        except OSError as error:
            raise CannotWrite(f"{self._path}: cannot be written ({error.strerror}).") from error
        self._size = file.tell()
        return file

    def write(self, text: str) -> int:
        # A file name from the system may hold what UTF-8 cannot; an event is never lost for it.
        line = text.encode("utf-8", "backslashreplace")
        if self._size and self._size + len(line) > self._max_bytes:
            self._file.close()
            self._path.replace(self._path.with_suffix(f".1{self._path.suffix}"))
            self._file = self._open()
        self._size += len(line)
        with suppress(OSError):  # a full disk: the journal is what must say so, and stop the run in order
            self._file.write(line)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self._file.close()


class EventLog:
    """`events.jsonl` of a run: `log.event("run.started", jobs=220)`. Closed by leaving its context."""

    def __init__(
        self,
        path: Path | None,
        *,
        max_bytes: int = MAX_BYTES,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = None if path is None else _BoundedFile(path, max_bytes)
        self._now = now
        self._few: dict[str, _Few] = {}
        factory: Any = structlog.ReturnLoggerFactory()
        if self._file is not None:
            factory = structlog.WriteLoggerFactory(cast(TextIO, self._file))
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

    def event_sparingly(self, name: str, **keys: object) -> None:
        """Write one event of a kind that may come in thousands: 20 a minute, and how many were left out."""
        few = self._few.setdefault(name, _Few(self._now()))
        if self._now() - few.since >= FEW_WITHIN_S:
            self._say_left_out(name, few)
            few.since, few.written = self._now(), 0
        if few.written < FEW:
            few.written += 1
            self.event(name, **keys)
        else:
            few.left_out += 1

    def _say_left_out(self, name: str, few: _Few) -> None:
        if few.left_out:
            self.event(name, left_out=few.left_out)
            few.left_out = 0

    def close(self) -> None:
        """Say what was left out, and close the file. Safe to call twice."""
        for name, few in self._few.items():
            self._say_left_out(name, few)
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(slots=True)
class _Few:
    """How many events of one kind were written since a moment, and how many were not."""

    since: float
    written: int = 0
    left_out: int = 0


def _hide_secrets(logger: object, method: str, line: MutableMapping[str, Any]) -> str:
    return SECRETS.hide(str(line))
