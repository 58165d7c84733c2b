"""Texts as sequences of units that can be counted alike in all languages.

A unit is a run of letters or digits, lower-cased, and, where a script puts no spaces between words, a single
character. So "distinct-2" of English is of word pairs and of Chinese of character pairs; figures of different
languages do not compare, those of a text and its translation's sibling do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af"
_UNIT = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+(?:['’][^\W\d_{_CJK}]+)*")
_IS_CJK = re.compile(rf"[{_CJK}]")
_STOP = frozenset(
    re.findall(
        r"\S+",
        """
        a about after all also always am an and any are as at be been but by can could did do does enjoy
        enjoys etc for from get had has have he her his how i i'd i'm i've if in into is it it's its
        just like likes love loves me more most my no not of often on or our out prefer prefers she so
        some such than that the their them then there these they this to too up us very was we were what
        when where which who will with would you your
        """,
    )
)
_ENDING = re.compile(r"(?<=...)(?:ing|ies|ied|es|ed|s|y)$")


def units(text: str) -> list[str]:
    """The units of a text, in order."""
    return _UNIT.findall(text.lower())


def is_without_spaces(text: str) -> bool:
    """Whether most of a text's letters are of a script that has no spaces between words."""
    return len(_IS_CJK.findall(text)) * 2 > sum(character.isalpha() for character in text)


def ngrams(sequence: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    """All runs of n units."""
    return zip(*(sequence[i:] for i in range(n)), strict=False)


def content_units(text: str) -> frozenset[str]:
    """What a text is about: stems of words that carry meaning; character pairs in scripts without spaces."""
    found = units(text)
    stems = {
        _ENDING.sub("", unit)
        for unit in found
        if len(unit) > 2 and unit not in _STOP and "'" not in unit.replace("’", "'")
    }
    pairs = {a + b for a, b in pairwise(found) if _IS_CJK.match(a) and _IS_CJK.match(b)}
    return frozenset(stems | pairs)
