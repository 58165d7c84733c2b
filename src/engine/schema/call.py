"""A call is one LLM request and its reply; its key says which question it answers.

Records are calls and outcomes as the journal keeps them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import xxhash

from engine.schema.conversation import STAGE
from engine.schema.job import without_cell


class CallKey(NamedTuple):
    """Identity of a call: a step is one question to one model, an attempt one way of asking it."""

    stage: str
    item: str
    step: str
    attempt: int = 0


def call_seed(run_seed: int, key: CallKey) -> int:
    """31 bits from the run's seed and the call's own identity: other calls do not enter it (P8).

    All cells of a matrix have the seeds of their job, so that they differ in nothing but their models.
    """
    item = without_cell(key.item) if key.stage == STAGE else key.item
    text = f"{run_seed}/{key.stage}/{item}/{key.step}/{key.attempt}"
    return xxhash.xxh3_64_intdigest(text.encode()) >> 33


# What each call makes is a named tuple where it is unpacked, compared or hashed, else a class with slots: a
# frozen dataclass takes 0.25 us a field to make, a tuple 0.05, such a class 0.03 (compiled 0.006).
class Usage(NamedTuple):
    """Tokens of one or more calls, as the provider reported them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def plus(self, other: Usage) -> Usage:
        """Both together."""
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
        )


NO_USAGE = Usage()


class Reply(NamedTuple):
    """What a model answered, decoded from the reply's bytes and from nothing else."""

    text: str
    finish_reason: str
    usage: Usage
    served_model: str
    reasoning: str = ""
    fingerprint: str = ""


class CallKind(StrEnum):
    """What a call record is. Only a reply is replayed; the others are for accounts and blame.

    `possibly_paid` and `retried` are tries that failed: a later session goes on counting from them. A retried
    one cost nothing. `failed` is the last one of a call that nobody can have paid for.
    """

    REPLY = "reply"
    POSSIBLY_PAID = "possibly_paid"
    RETRIED = "retried"
    FAILED = "failed"


# The note of a possibly paid try that was ended from this side: by a stop, and not by a failure of its own.
CUT_OFF = b"cancelled"


class CallRecord(NamedTuple):
    """One call as journalled, its fields in the order of the table's columns.

    `reply` is the body as it came, or the one that a stream makes; times are Unix seconds and seconds.
    """

    seq: int
    stage: str
    item: str
    step: str
    attempt: int
    kind: str
    request_digest: bytes
    reply: bytes
    endpoint: str
    session: int
    tries: int
    sent_at: float
    latency_s: float
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


class OutcomeRecord(NamedTuple):
    """How an item ended: its end reason, its rounds and the sequence numbers of its calls, in order.

    Its fields are in the order of the table's columns.

    `note` is JSON about a failure, else empty. Calls of the item from `as_of` on came after this outcome
    and belong to a later retry. `low_water` is the first call at that moment which belongs to an
    unfinished item: everything before it is finished and need not be read at a resume.
    """

    seq: int
    stage: str
    item: str
    result: str
    note: str
    rounds: int
    calls: tuple[int, ...]
    as_of: int
    low_water: int
    ended_at: float
    session: int
