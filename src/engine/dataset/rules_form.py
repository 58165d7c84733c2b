"""Rules of form, for whoever speaks: empty, cut off, repeated.

What the provider or the dialogue reports as cut off drops, and so does an exact repeat. Where only
the text's look speaks (an odd ending, a near repeat), it is a guess and flags.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

from engine.dataset.rules import Fault, Reading, Rule, Utterance, each
from engine.dialogue.speech import CJK, MIN_REPEAT_UNITS

NEAR_REPEAT = 0.8
"""Jaccard index of the two turns' words, as in the reference's own count of near repeats."""

MAX_LINE_CHARS = 2000
"""How far back the last line is looked at."""

MIN_BROKEN_WORDS = 6
"""A shorter last sentence without a full stop ("Thanks a lot") is a habit, not a break."""

_SENTENCE_END = re.compile(r"[.!?:。！？：][\"')”]? ")
_CJK = re.compile(f"[{CJK}]")
_LIST_LINE = re.compile(
    r"\s{0,8}(?:[-*•·+#>|]|\d{1,3}[.)、]|[（(]?[一二三四五六七八九十]{1,3}[）)、]|\*\*|`)"
)
# Words that no sentence ends with: what follows them was cut off.
_DANGLING = frozenset(
    (
        *("the", "a", "an", "and", "or", "but", "of", "to", "in", "for", "with", "at", "by", "from", "as"),
        *("is", "are", "was", "your", "my", "our", "their", "its", "this", "that", "these", "those", "if"),
        *("when", "while", "because", "which", "who", "depending", "based", "including", "such", "than"),
        *("before", "after", "during", "about", "without", "between", "through", "into", "until", "be"),
    )
)


def _empty_turn(reading: Reading) -> Iterator[Fault]:
    for side in reading.sides:
        yield from each(side, lambda u: None if _has_substance(u.turn.content) else "no word or sign")


def _has_substance(text: str) -> bool:
    # An emoji is an answer; dots and invisible characters are not.
    return any(c.isalnum() or unicodedata.category(c) == "So" for c in text)


def _cut_off_turn(reading: Reading) -> Iterator[Fault]:
    def look(utterance: Utterance) -> str | None:
        if utterance.turn.finish_reason in ("length", "max_tokens"):
            return "the provider stopped at its length limit"
        return "marked by the dialogue" if "truncated" in utterance.turn.flags else None

    for side in reading.sides:
        yield from each(side, look)


def _ends_mid_sentence(reading: Reading) -> Iterator[Fault]:
    def look(utterance: Utterance) -> str | None:
        return "ends inside a sentence" if is_broken_off(utterance.turn.content) else None

    for side in reading.sides:
        yield from each(side, look)


def is_broken_off(text: str) -> bool:
    """Whether `text` ends inside a word or a sentence, by its look alone.

    Full stops, colons, closing quotes and brackets, emojis and rules end a text. So do list items,
    headings, short lines and Chinese, which often carry no mark at the end: unless the last word is
    one that nothing ends with.
    """
    text = text.rstrip()
    if not text:
        return False
    if not text[-1].isalnum():
        return text[-1] in ",;，、；(（[" or (text[-1] in "-–—" and text[-2:-1].isalnum())
    line = text[max(text.rfind("\n"), len(text) - MAX_LINE_CHARS) + 1 :]
    if line.split()[-1].lower() in _DANGLING:
        return True
    if _LIST_LINE.match(line) or _CJK.match(line[-1]):
        return False
    return len(_SENTENCE_END.split(line)[-1].split()) >= MIN_BROKEN_WORDS


def _repeated_turn(reading: Reading) -> Iterator[Fault]:
    for side in reading.sides:
        seen: dict[str, int] = {}
        for utterance in side:
            text = utterance.text.strip()
            earlier = seen.setdefault(text, utterance.index)
            if earlier != utterance.index and len(utterance.units()) >= MIN_REPEAT_UNITS:
                yield utterance.index, f"same as turn {earlier}"


def _near_repeat(reading: Reading) -> Iterator[Fault]:
    # Only neighbours on one side are compared: loops show there, and the time stays linear.
    for side in reading.sides:
        for before, after in pairwise(side):
            shorter, longer = sorted((len(before.text), len(after.text)))
            if shorter < 0.6 * longer or before.text.strip() == after.text.strip():
                continue
            words, others = _words(after.text), _words(before.text)
            index = len(words & others) / max(1, len(words | others))
            if index >= NEAR_REPEAT and len(words) >= MIN_REPEAT_UNITS:
                yield after.index, f"shares {index:.0%} of its words with turn {before.index}"


def _words(text: str) -> set[str]:
    """Words as spaces part them, or pairs of characters where the script uses no spaces."""
    words = text.split()
    if len(words) * 15 > len(text):
        return set(words)
    return {text[i : i + 2] for i in range(len(text) - 1)}


FORM_RULES = (
    Rule("empty_turn", "a turn without a word", "either", "drop", _empty_turn),
    Rule("cut_off_turn", "a turn that stopped at a length limit", "either", "drop", _cut_off_turn),
    Rule(
        "ends_mid_sentence",
        "a turn whose last sentence looks unfinished",
        "either",
        "flag",
        _ends_mid_sentence,
    ),
    Rule("repeated_turn", "a turn that one side says twice, word for word", "either", "drop", _repeated_turn),
    Rule("near_repeat", "a turn almost the same as the side's last one", "either", "flag", _near_repeat),
)
