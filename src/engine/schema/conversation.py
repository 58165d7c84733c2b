"""A conversation is the transcript of a job: turns in order, and why it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

# How the rehearsal endpoint marks each of its replies (`system_fingerprint`), so that records can say so.
REHEARSAL_MARK = "rehearsal-"

# The stage of the calls that hold conversations.
STAGE = "conversation"


class Role(StrEnum):
    """The two sides. In a stored history the simulator's turns carry the role `user`."""

    USER = "user"
    ASSISTANT = "assistant"

    # An enum's own hash runs in Python, for each of the ten look-ups of a call.
    __hash__ = str.__hash__


class EndReason(StrEnum):
    """Why a conversation ended; exactly one per conversation."""

    GOODBYE = "goodbye"
    MAX_ROUNDS = "max_rounds"
    CONTEXT_FULL = "context_full"
    REFUSED = "refused"
    FAILED = "failed"


class Turn(NamedTuple):
    """One speaker's contribution. `content` is the utterance, unstripped, as it came.

    `finish_reason` is the provider's word for why the reply ended (`stop`, `length`, ...).
    """

    role: Role
    content: str
    finish_reason: str = "stop"
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DebriefAnswer:
    """One side's answer to a question asked after the conversation; not a turn of it."""

    role: Role
    question: str
    answer: str
