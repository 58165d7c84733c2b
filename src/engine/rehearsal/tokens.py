"""Tokens without a tokenizer: an estimate by character class, near cl100k's count on this vocabulary.

Counting exactly costs about 28 us a kilobyte, more than writing the reply; the estimate costs under 2 us.
It is deterministic and the same for prompt, completion and `max_tokens`, which is what usage must be.
"""

from __future__ import annotations

_PER_NARROW = 0.226
_PER_WIDE = 1.22
# What the chat format adds to each message (role and separators).
MESSAGE_OVERHEAD = 4


def estimate_tokens(text: str) -> int:
    """At least 1 for a text that is not empty."""
    n = len(text)
    if text.isascii():
        return int(n * _PER_NARROW + 0.999)
    wide = (len(text.encode("utf-8", "replace")) - n) / 2
    return int(max(0.0, n - wide) * _PER_NARROW + wide * _PER_WIDE + 0.999)


def cut_to_tokens(text: str, max_tokens: int) -> str:
    """The longest prefix whose estimate is at most `max_tokens`, found by bisection."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if estimate_tokens(text[:middle]) <= max_tokens:
            low = middle
        else:
            high = middle - 1
    return text[:low]
