"""Rules for the assistant: only a change of role drops, since its answers are what is studied.

A refusal or a disclaimer is a result about the assistant, not a defect of the data: it is flagged,
so that a reader can count it or leave it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.dataset.rules import Fault, Reading, Rule, Utterance, each
from engine.dataset.rules_phrases import AI_LIMITS, REFUSAL, USER_VOICE, first

MAX_REFUSAL_CHARS = 600
"""A longer reply that opens with a refusal goes on to help."""

_SPEAKS_FOR_USER = re.compile(r"(?:^|\n) {0,3}(?:\*\*)?(?:user|用户) {0,2}[:：]")


def _plays_user(reading: Reading) -> Iterator[Fault]:
    def look(utterance: Utterance) -> str | None:
        text = utterance.text
        if ("user" in text or "用户" in text) and _SPEAKS_FOR_USER.search(text):
            return "writes a line for the user"
        return first(text, USER_VOICE)

    return each(reading.assistants, look)


def _refuses_task(reading: Reading) -> Iterator[Fault]:
    return each(
        reading.assistants,
        lambda u: first(u.text, REFUSAL) if len(u.text) <= MAX_REFUSAL_CHARS else None,
    )


def _ai_disclaimer(reading: Reading) -> Iterator[Fault]:
    return each(reading.assistants, lambda u: first(u.text, AI_LIMITS))


ASSISTANT_RULES = (
    Rule("plays_user", "the assistant speaks as the user", "assistant", "drop", _plays_user),
    Rule("refuses_task", "the assistant declines to help", "assistant", "flag", _refuses_task),
    Rule(
        "ai_disclaimer",
        "the assistant says that it is an AI, or what it cannot do",
        "assistant",
        "flag",
        _ai_disclaimer,
    ),
)
