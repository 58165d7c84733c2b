"""One side's growing request: each message encoded once, and sent as a prefix of what is sent later.

Prefixes only grow and are byte-stable, which is what a provider's prefix cache needs. What a turn costs does
not grow with the conversation, but for a copy of its bytes and one pass of a hash that is faster than that
copy (XXH3: 0.2 us for 8 KB, where BLAKE2b took 2.4 us for each message of 2 KB).
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson
import xxhash


class MessageLog:
    """The messages that one side has seen so far, as the inside of a JSON array."""

    __slots__ = ("_body", "_count")

    def __init__(self) -> None:
        self._body = b""
        self._count = 0

    def extend(self, messages: Iterable[tuple[str, str]]) -> None:
        """Append (role, content) messages."""
        body = self._body
        for role, content in messages:
            encoded = orjson.dumps({"role": role, "content": content})
            # Always a copy of the right size: what orjson returns keeps its far larger work buffer.
            body = b"%b,%b" % (body, encoded) if body else b"%b" % encoded
            self._count += 1
        self._body = body

    def fork(self, messages: Iterable[tuple[str, str]]) -> MessageLog:
        """A log that goes on with `messages` and leaves this one as it is."""
        other = MessageLog()
        other._body, other._count = self._body, self._count
        other.extend(messages)
        return other

    @property
    def size(self) -> int:
        """Bytes of JSON."""
        return len(self._body)

    def body(self) -> bytes:
        """The messages as the inside of a JSON array."""
        return self._body

    def digest(self) -> bytes:
        """16 bytes that change with any change of any message."""
        return xxhash.xxh3_128_digest(self._body)

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"MessageLog({self._count} messages, {len(self._body)} bytes)"
