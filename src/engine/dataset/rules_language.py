"""The rule on language: a turn that is written in another language than the run's.

How a language is told is in `dialogue/languages.py`. Practice passes: somebody who learns a language may
write a turn in it, if most turns are not.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.dataset.rules import Fault, Reading, Rule
from engine.dialogue.languages import foreign_language, is_learnt


def _wrong_language(reading: Reading) -> Iterator[Fault]:
    turns = [u for side in reading.sides for u in side]
    found = [(u, language) for u in turns if (language := foreign_language(u.text, reading.language))]
    for utterance, language in found:
        if 2 * len(found) >= len(turns) or not is_learnt(
            language, (u.text for u in turns if u is not utterance), reading.language
        ):
            yield utterance.index, f"reads as {language}"


LANGUAGE_RULES = (
    Rule("wrong_language", "a turn in another language than the run's", "either", "drop", _wrong_language),
)
