"""One side's growing request: each message encoded once, hashed once, joined when it is sent.

Work per turn stays constant: the digest is a running hash and the size a running sum, so neither
depends on how long the conversation has become. Prefixes only grow and are byte-stable, which is
what a provider's prefix cache needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import orjson

MESSAGES_DIGEST_BYTES = 16


class MessageLog:
    """The messages that one side has seen so far, as encoded JSON objects."""

    __slots__ = ("_encoded", "_hash", "size")

    def __init__(self) -> None:
        self._encoded: list[bytes] = []
        self._hash = blake2b(digest_size=MESSAGES_DIGEST_BYTES)
        self.size = 0

    def extend(self, messages: Iterable[tuple[str, str]]) -> None:
        """Append (role, content) messages."""
        for role, content in messages:
            # The sum is a copy of the right size: what orjson returns keeps its far larger work buffer.
            encoded = orjson.dumps({"role": role, "content": content}) + b","
            self._encoded.append(encoded)
            self._hash.update(encoded)
            self.size += len(encoded) - 1

    def fork(self, messages: Iterable[tuple[str, str]]) -> MessageLog:
        """A log that goes on with `messages` and leaves this one as it is."""
        other = MessageLog()
        other._encoded = list(self._encoded)
        other._hash = self._hash.copy()
        other.size = self.size
        other.extend(messages)
        return other

    def body(self) -> bytes:
        """The messages as the inside of a JSON array."""
        return b"".join(self._encoded)[:-1]

    def digest(self) -> bytes:
        """16 bytes that change with any change of any message."""
        return self._hash.digest()

    def __len__(self) -> int:
        return len(self._encoded)

    def __repr__(self) -> str:
        return f"MessageLog({len(self._encoded)} messages, {self.size} bytes)"
