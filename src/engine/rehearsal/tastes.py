"""The profile's nine lines, read back, and its phrases turned into what this person says of themselves.

Aspects are lists of phrases in the third person ("Enjoys street food, open to all cuisines"). A phrase
that starts with a verb becomes "I enjoy ..."; any other is put into a frame that takes nouns and
adjectives alike. The words themselves stay as they are, so that a reader finds the profile again.
"""

from __future__ import annotations

import re
from functools import lru_cache

from engine.schema.profile import ASPECTS

_KEYS = {label: aspect.key for aspect in ASPECTS for label in (aspect.label_en, aspect.label_zh)}
_LINE = re.compile(
    r"^[ \t]*\d[.．、)][ \t]*(" + "|".join(map(re.escape, _KEYS)) + r")[ \t]*[:：][ \t]*(.+)$", re.M
)
_SPLIT = re.compile(r"[,;，；、。]|\.(?:\s|$)")
_VERBS = re.compile(
    r"(?:(?P<adverb>[a-z]+ly|often|always|never|sometimes|also|rarely|seldom) )?"
    r"(?P<verb>enjoys|loves|likes|prefers|travels|spends|invests|saves|collects|avoids|eats|cooks|runs|"
    r"organi[sz]es|lives|has|is|owns|plays|seeks|values|follows|practi[cs]es|volunteers|works|buys|"
    r"allocates|dislikes|tries|appreciates|believes|budgets|chooses|donates|drinks|dreams|explores|favou?rs|"
    r"goes|hosts|keeps|looks|maintains|makes|needs|opts|participates|plans|reads|shops|speaks|splurges|"
    r"stays|studies|supports|takes|teaches|tends|uses|visits|wants|watches|writes|attends|focuses)\b",
    re.I,
)
_BASE = {"has": "have", "is": "am", "goes": "go", "tries": "try", "studies": "study", "watches": "watch"}
_BASE |= {"teaches": "teach", "focuses": "focus"}
_CHINESE_VERBS = tuple("喜爱偏习热经常注追会不有拥住善重乐享关崇愿")
_FRAMES = {
    "en": {
        "daily_interests_and_hobbies": "my free time goes to {}",
        "travel_habits": "my way of travelling is {}",
        "dining_preferences": "my taste in food is {}",
        "spending_habits": "my spending style is {}",
        "personality": "people call me {}",
        "other_aspects": "part of my life is {}",
    },
    "zh": {
        "daily_interests_and_hobbies": "我平时的爱好是{}",
        "travel_habits": "我的旅行方式是{}",
        "dining_preferences": "我的口味是{}",
        "spending_habits": "我的消费习惯是{}",
        "personality": "我的性格{}",
        "other_aspects": "我的生活里有{}",
    },
}


ProfileLines = tuple[tuple[str, str], ...]


@lru_cache(maxsize=2048)
def read_profile(text: str) -> ProfileLines | None:
    """The aspects as (key, text), or None where fewer than five of the nine lines are found."""
    if "Personality" not in text and "性格" not in text:
        return None
    aspects = tuple((_KEYS[label], value.strip()) for label, value in _LINE.findall(text))
    return aspects if len(aspects) >= 5 else None


@lru_cache(maxsize=2048)
def without_profile(text: str) -> str:
    """The text around the nine lines: what the scenario says, without what the person likes."""
    return _LINE.sub("", text)


@lru_cache(maxsize=2048)
def statements(profile: ProfileLines, aspects: tuple[str, ...], language: str) -> tuple[str, ...]:
    """What the person says of themselves, aspect by aspect in turn, so that few turns show many aspects."""
    values = dict(profile)
    columns = [
        [_state(phrase, aspect, language) for phrase in phrases(values.get(aspect, ""))] for aspect in aspects
    ]
    depth = max(map(len, columns), default=0)
    return tuple(column[row] for row in range(depth) for column in columns if row < len(column))


def phrases(value: str) -> list[str]:
    """The phrases of one aspect, trimmed, without a leading "and"."""
    parts = (re.sub(r"^(?:and|以及|和)\s*", "", part.strip()) for part in _SPLIT.split(value))
    return [part for part in parts if part]


def _state(phrase: str, aspect: str, language: str) -> str:
    if language == "zh":
        if phrase.startswith(_CHINESE_VERBS):
            return f"我{phrase}"
    elif match := _VERBS.match(phrase):
        verb = match["verb"].lower()
        adverb = f"{match['adverb'].lower()} " if match["adverb"] else ""
        rest = re.sub(r"\b(?:her|his|their)\b", "my", phrase[match.end() :])
        return f"I {adverb}{_BASE.get(verb, verb[:-1])}{rest}"
    elif not phrase[1:2].isupper():
        phrase = phrase[:1].lower() + phrase[1:]
    return _FRAMES[language][aspect].format(phrase)
