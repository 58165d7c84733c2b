"""One side's growing request: each message encoded once, and sent as a prefix of what is sent later.

Prefixes only grow and are byte-stable, which is what a provider's prefix cache needs. What a turn costs does
not grow with the conversation, but for one copy of its bytes: the digest goes on from that of the turn before
(XXH3; BLAKE2b took 2.4 us for each message of 2 KB).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import orjson
import xxhash


class Utterances:
    """What the two sides of a conversation say, encoded once for the logs of both.

    One side sees an utterance with `ending` behind it, the other one without. Each new utterance reaches both
    logs before the next one does, so that the last one is all that has to be remembered.
    """

    __slots__ = ("_encoded", "_ending", "_last", "_with_ending")

    def __init__(self, ending: str = "") -> None:
        self._ending = ending
        self._with_ending = _inside(ending) + b'"}'
        self._last = ""
        self._encoded = b""

    def encode(self, content: str) -> tuple[bytes, bytes]:
        """The inside of `content` as a JSON string, and what closes string and message."""
        closing = b'"}'
        if self._ending and content.endswith(self._ending):
            content, closing = content[: -len(self._ending)], self._with_ending
        if content != self._last:
            # A slice is a copy of the right size: what orjson returns keeps its far larger work buffer.
            self._last, self._encoded = content, orjson.dumps(content)[1:-1]
        return self._encoded, closing


@lru_cache(maxsize=64)
def _inside(text: str) -> bytes:
    return orjson.dumps(text)[1:-1]


@lru_cache(maxsize=64)
def _opening(role: str, *, is_first: bool) -> bytes:
    return b'%b{"role":%b,"content":"' % (b"" if is_first else b",", orjson.dumps(role))


class MessageLog:
    """The messages that one side has seen so far, as the inside of a JSON array."""

    __slots__ = ("_count", "_hash", "_pieces", "_utterances", "size")

    def __init__(self, utterances: Utterances | None = None) -> None:
        self._utterances = utterances or Utterances()
        # Joined only while the whole is needed: the utterances among them are the other side's too.
        self._pieces: list[bytes] = []
        self._count = 0
        self._hash = xxhash.xxh3_128()
        # Bytes of JSON.
        self.size = 0

    def extend(self, messages: Iterable[tuple[str, str]]) -> None:
        """Append (role, content) messages."""
        for role, content in messages:
            opening = _opening(role, is_first=not self._count)
            encoded, closing = self._utterances.encode(content)
            self._pieces += (opening, encoded, closing)
            self._count += 1
            message = b"%b%b%b" % (opening, encoded, closing)
            self._hash.update(message)
            self.size += len(message)

    def fork(self, messages: Iterable[tuple[str, str]]) -> MessageLog:
        """A log that goes on with `messages` and leaves this one as it is."""
        other = MessageLog(self._utterances)
        other._pieces, other._count, other.size = self._pieces.copy(), self._count, self.size
        other._hash = self._hash.copy()
        other.extend(messages)
        return other

    def body(self) -> bytes:
        """The messages as the inside of a JSON array."""
        return b"".join(self._pieces)

    def digest(self) -> bytes:
        """16 bytes that change with any change of any message."""
        return self._hash.digest()

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"MessageLog({len(self)} messages, {self.size} bytes)"
