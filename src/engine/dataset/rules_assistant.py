"""Rules for the assistant: only a change of role drops, since its answers are what is studied.

A refusal or a disclaimer is a result about the assistant, not a defect of the data: it is flagged,
so that a reader can count it or leave it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.dataset.rules import Fault, Reading, Rule, Utterance, each
from engine.dialogue.phrases import AI_LIMITS, HELPS_ON, REFUSAL, USER_VOICE, first
from engine.dialogue.speech import is_introduced, without_code

MAX_REFUSAL_CHARS = 600
"""A longer reply that opens with a refusal goes on to help."""

_USER_LINE = re.compile(
    r"(?:^|\n) {0,3}(?:\*\*)?(?:user|用户)(?:\*\*)? {0,2}[:：](?:\*\*)? {0,4}([^\n]{2,400})"
)
# A draft of a letter speaks for the user, as it was asked to.
_LETTER = re.compile(r"(?:^|\n)\W{0,4}(?:to (?:my |our )?)?dear [^.!?\n]{1,40}[,:]\W{0,4}\n")
# A value in a settings file or a list of roles neither asks nor says "I".
_PERSONAL = re.compile(r"\b(?:i|my|me|we|thanks?|please)\b(?!-)|\w \w[^\n]{0,300}\?|[我您你谢请吗？]")


def _plays_user(reading: Reading) -> Iterator[Fault]:
    def look(utterance: Utterance) -> str | None:
        text = utterance.text
        if "user" in text or "用户" in text:
            for line in _USER_LINE.finditer(without_code(text)):
                if _PERSONAL.search(line[1]) and not is_introduced(line.string, line.start()):
                    return "writes a line for the user"
        said = first(text, USER_VOICE)
        return None if said is None or _LETTER.search(text) else said

    return each(reading.assistants, look)


def _refuses_task(reading: Reading) -> Iterator[Fault]:
    def look(utterance: Utterance) -> str | None:
        is_short = len(utterance.text) <= MAX_REFUSAL_CHARS
        refusal = first(utterance.text, REFUSAL) if is_short else None
        return None if refusal is None or HELPS_ON.search(utterance.text) else refusal

    return each(reading.assistants, look)


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
