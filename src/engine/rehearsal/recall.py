"""What a user has said of themselves, found again in their turns, for the assistant to refer to.

The simulator's frames are read backwards: what stands where a frame has its `{taste}` is the person's own
statement. Spoken back, "I" becomes "you"; a long statement ends at a comma, never inside a word.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from engine.rehearsal.vocabulary.catalogue import LANGUAGES
from engine.rehearsal.vocabulary.form import Language

_MAX_CHARS = {"en": 60, "zh": 24}
_MIN_CHARS = 10
_BREAK = re.compile(r",| but | because |、")
_YOU = {
    "I": "you",
    "me": "you",
    "my": "your",
    "My": "your",
    "myself": "yourself",
    "mine": "yours",
    "am": "are",
}
_SELF = re.compile(r"\b(?:I|me|[Mm]y|myself|mine|am)\b")


class Recalled(NamedTuple):
    """A statement turned to "you"; `about` names what a note is on and is empty for a sentence."""

    taste: str
    about: str


class _Frame(NamedTuple):
    """A frame read backwards. `anchor` is looked for first: a literal costs far less than a pattern."""

    anchor: str
    pattern: re.Pattern[str]


def _read_backwards(frame: str, language: Language) -> _Frame:
    is_chinese = language.code == "zh"
    start, inside = ("(?:^|[。！？])", "[^，。！？；：\\n]") if is_chinese else ("(?:^|[.!?] )", "[^.!?;\\n]")
    about = "|".join(name[0].upper() + name[1:] + "|" + name for name in language.about.values())
    pattern = re.escape(frame).replace(r"\{about\}", f"(?P<about>{about})")
    pattern = pattern.replace(r"\{taste\}", f"(?P<taste>{inside}{{2,160}}?)")
    anchor = max(re.split(r"\{\w+\}", frame), key=len)
    return _Frame(anchor, re.compile(start + pattern if frame.startswith("{") else pattern))


_FRAMES = {
    code: tuple(_read_backwards(frame, words) for frame in (*words.tastes, *words.notes))
    for code, words in LANGUAGES.items()
}


@lru_cache(maxsize=2048)
def recall(turn: str, language: str) -> tuple[Recalled, ...]:
    """The statements of one user turn; kept, because each turn is read in several requests."""
    matches = (pattern.search(turn) for anchor, pattern in _FRAMES[language] if anchor in turn)
    said = (match.groupdict(default="") for match in matches if match)
    return tuple(
        Recalled(_to_you(_shorten(each["taste"], language)), _to_you(each.get("about", ""))) for each in said
    )


def _to_you(text: str) -> str:
    spoken_back = _SELF.sub(lambda match: _YOU[match[0]], text.replace("I was", "I were"))
    return spoken_back.replace("我", "你")


def _shorten(text: str, language: str) -> str:
    if len(text) <= _MAX_CHARS[language]:
        return text
    at = _BREAK.search(text, _MIN_CHARS)
    return text[: at.start()] if at else text
