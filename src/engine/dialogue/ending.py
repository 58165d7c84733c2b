"""When a simulator's reply ends the conversation, and when it merely echoes the end prompt.

Strict (default): the reply's last words are the end phrase, whatever the case and punctuation, and they
are the simulator's own: an echo of the end prompt, which itself names the phrase, does not count.
Paper: the phrase's parts stand anywhere in the reply, any case, as in the authors' code.
"""

from __future__ import annotations

import re
from functools import lru_cache

# A word is a run of letters or digits; Chinese has no spaces, so each of its characters is one.
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")
_PARTS = re.compile(r"[,，.。!！;；]")
_SHORTEST_ECHO = 3
# Room for punctuation and emojis behind the phrase's last word.
_TAIL = 200


class EndCheck:
    """Recognises goodbyes and echoes for one end prompt and end phrase."""

    __slots__ = ("_parts", "_phrase", "_prompt", "_prompt_words", "_strict")

    def __init__(self, *, end_prompt: str, end_phrase: str, strict: bool) -> None:
        self._prompt = words(end_prompt)
        self._prompt_words = frozenset(self._prompt)
        self._phrase = words(end_phrase)
        self._parts = [part.strip().casefold() for part in _PARTS.split(end_phrase) if part.strip()]
        self._strict = strict

    def is_goodbye(self, text: str) -> bool:
        """Whether this reply ends the conversation."""
        if not self._strict:
            folded = text.casefold()
            return all(part in folded for part in self._parts)
        # Nearly every reply is none, and is told by its tail without being split into words.
        if self._phrase[-1] not in text[-_TAIL:].casefold():
            return False
        spoken = words(text[-(40 * len(self._phrase) + 400) :])
        size = len(self._phrase)
        if spoken[-size:] != self._phrase:
            return False
        return self._echoed_before(spoken[:-size]) < _SHORTEST_ECHO

    def is_parrot(self, text: str) -> bool:
        """Whether this reply holds nothing but (a part of) the end prompt, longer than the phrase."""
        spoken: list[str] = []
        for match in _WORD.finditer(text):
            word = match[0].casefold()
            if word not in self._prompt_words:  # a word of its own, mostly the first
                return False
            spoken.append(word)
            if len(spoken) > len(self._prompt):
                return False
        size = len(spoken)
        if size < len(self._phrase) + _SHORTEST_ECHO:
            return False
        return any(
            self._prompt[start : start + size] == spoken for start in range(len(self._prompt) - size + 1)
        )

    def _echoed_before(self, before: list[str]) -> int:
        """How many words before the phrase are those that stand before it in the end prompt."""
        size, longest = len(self._phrase), 0
        for start in range(len(self._prompt) - size + 1):
            if self._prompt[start : start + size] != self._phrase:
                continue
            same = 0
            while same < min(start, len(before)) and before[-1 - same] == self._prompt[start - 1 - same]:
                same += 1
            longest = max(longest, same)
        return longest

    def __repr__(self) -> str:
        return f"EndCheck({'strict' if self._strict else 'paper'}, {' '.join(self._phrase)!r})"


@lru_cache(maxsize=256)
def end_check(*, end_prompt: str, end_phrase: str, strict: bool) -> EndCheck:
    """The check for these texts, made once: most conversations share their end prompt."""
    return EndCheck(end_prompt=end_prompt, end_phrase=end_phrase, strict=strict)


def words(text: str) -> list[str]:
    """The words of `text`, case-folded, without punctuation."""
    return _WORD.findall(text.casefold())
