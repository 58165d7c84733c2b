"""A replica's simulated prefix cache: which part of a request it has computed before.

The unit is the message: a request's prefix up to any message is a chain of hashes, and the longest prefix
that is still held counts as cached. The least recently used prefixes leave when the capacity, in tokens,
is exceeded. A real server works in blocks of tokens; message boundaries are where conversations branch.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

import orjson
from benchmarks.canned import prompt_tokens


class PrefixCache:
    """LRU over message prefixes, `capacity_tokens` in all."""

    def __init__(self, capacity_tokens: int) -> None:
        self._capacity = capacity_tokens
        self._held: OrderedDict[bytes, int] = OrderedDict()
        self._tokens = 0

    def look_up(self, body: bytes) -> tuple[int, int]:
        """(prompt tokens, those of them that were held); the whole request is held afterwards."""
        request = orjson.loads(body)
        running = blake2b(str(request.get("model")).encode(), digest_size=16)
        total = cached = 0
        missed = False
        for message in request["messages"]:
            encoded = orjson.dumps(message, option=orjson.OPT_SORT_KEYS)
            size = prompt_tokens(encoded)
            running.update(encoded)
            digest = running.digest()
            total += size
            if digest in self._held and not missed:
                cached += size
                self._held.move_to_end(digest)
            else:
                missed = True
                if self._held.pop(digest, None) is not None:
                    self._tokens -= size
                self._held[digest] = size
                self._tokens += size
        while self._tokens > self._capacity:
            self._tokens -= self._held.popitem(last=False)[1]
        return total, cached

    def clear(self) -> None:
        """Forget everything, as a restarted replica does."""
        self._held.clear()
        self._tokens = 0

    def __repr__(self) -> str:
        return f"PrefixCache({len(self._held)} prefixes, {self._tokens} of {self._capacity} tokens)"
