"""Which words a conversation uses: its task, found by keywords, and the slots its text fills.

Everything is a pure function of the text, so simulator and assistant, who see different requests of the
same conversation, arrive at the same task as long as the opening turn says what it is about.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from engine.rehearsal.vocabulary import (
    gifts_en,
    gifts_zh,
    neutral_en,
    neutral_zh,
    recipe_en,
    recipe_zh,
    skills_en,
    skills_zh,
    travel_en,
    travel_zh,
)
from engine.rehearsal.vocabulary.chinese import CHINESE
from engine.rehearsal.vocabulary.english import ENGLISH
from engine.rehearsal.vocabulary.form import Facet, Item, Language, TaskWords

LANGUAGES = {"en": ENGLISH, "zh": CHINESE}
NEUTRAL = "neutral"

_KEYWORDS = {
    "gifts": re.compile(r"\b(?:gifts?|presents?)\b|礼物|送礼", re.I),
    "recipe": re.compile(
        r"\b(?:recipes?|cook(?:ing|s|ed)?|dish(?:es)?|meals?|ingredients?|kitchen)\b"
        r"|菜谱|食谱|做饭|做菜|下厨|食材|一顿饭",
        re.I,
    ),
    "skills": re.compile(r"\b(?:learning|study|studying|beginner|courses?)\b|学习|课程|零基础|学会", re.I),
    "travel": re.compile(
        r"\b(?:trips?|travel(?:s|ling|ing)?|itinerary|itineraries|accommodations?|destinations?|vacation"
        r"|sightseeing)\b|旅行|旅游|行程|出行|住宿|目的地",
        re.I,
    ),
}
# What only the newer of the two travel tasks speaks of.
_NEW_TRAVEL = re.compile(
    r"\b(?:weekend|fortnight|two weeks|whole month|december|point of departure|opening hours)\b"
    r"|where you live|Xi'an|周末|两个星期|两周|整整一个月|十二月|出发地|居住地|开放时间|西安",
    re.I,
)
_PLACES = re.compile(r"(xi'an|西安)|(xinjiang|新疆)", re.I)
_BY_TASK = {
    ("gifts", "en"): gifts_en.GIFTS,
    ("gifts", "zh"): gifts_zh.GIFTS,
    ("recipe", "en"): recipe_en.RECIPE,
    ("recipe", "zh"): recipe_zh.RECIPE,
    ("skills", "en"): skills_en.SKILLS,
    ("skills", "zh"): skills_zh.SKILLS,
    ("travel", "en"): travel_en.TRAVEL,
    ("travel", "zh"): travel_zh.TRAVEL,
    ("travel xian", "en"): travel_en.TRAVEL_XIAN,
    ("travel xian", "zh"): travel_zh.TRAVEL_XIAN,
    ("travel xinjiang", "en"): travel_en.TRAVEL_XINJIANG,
    ("travel xinjiang", "zh"): travel_zh.TRAVEL_XINJIANG,
    ("newtravel", "en"): travel_en.NEWTRAVEL,
    ("newtravel", "zh"): travel_zh.NEWTRAVEL,
    ("newtravel xian", "en"): travel_en.NEWTRAVEL_XIAN,
    ("newtravel xian", "zh"): travel_zh.NEWTRAVEL_XIAN,
    (NEUTRAL, "en"): neutral_en.NEUTRAL,
    (NEUTRAL, "zh"): neutral_zh.NEUTRAL,
}


@dataclass(frozen=True, slots=True)
class Topic:
    """What a conversation is about: the task's name, and its words with the slots filled."""

    task: str
    words: TaskWords


@lru_cache(maxsize=1024)
def detect_task(text: str) -> str:
    """`gifts`, `recipe`, `skills`, `travel`, `newtravel`, or `neutral` where no keyword occurs."""
    scores = {task: len(pattern.findall(text)) for task, pattern in _KEYWORDS.items()}
    task = max(scores, key=scores.__getitem__)
    if not scores[task]:
        return NEUTRAL
    return "newtravel" if task == "travel" and _NEW_TRAVEL.search(text) else task


@lru_cache(maxsize=1024)
def topic_of(text: str, language: str) -> Topic:
    """The topic of a scenario's or an opening turn's text."""
    task = detect_task(text)
    key = task
    if task in ("travel", "newtravel") and (place := _PLACES.search(text)):
        named = f"{task} {'xian' if place[1] else 'xinjiang'}"
        key = named if (named, language) in _BY_TASK else task
    words = _BY_TASK[key, language]
    lowered = text.lower()
    values = tuple(
        (slot.name, next(phrase for keyword, phrase in slot.choices if keyword in lowered))
        for slot in words.slots
    )
    return Topic(task, _fill(key, language, values))


@lru_cache(maxsize=1024)
def language_of(text: str) -> str:
    """`zh` where at least three characters in ten are wide (two extra UTF-8 bytes), else `en`."""
    if text.isascii():
        return "en"
    wide = (len(text.encode("utf-8", "replace")) - len(text)) / 2
    return "zh" if wide > 0.3 * len(text) else "en"


@lru_cache(maxsize=256)
def _fill(key: str, language: str, values: tuple[tuple[str, str], ...]) -> TaskWords:
    """The task's words with the scenario's slots filled; `{x_cap}` is `{x}` at a sentence's start."""

    def fill(text: str) -> str:
        for name, phrase in values:
            text = text.replace("{" + name + "}", phrase)
            text = text.replace("{" + name + "_cap}", phrase[:1].upper() + phrase[1:])
        return text

    def fill_all(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(fill, texts))

    words = _BY_TASK[key, language]
    return replace(
        words,
        openings=fill_all(words.openings),
        wishes=fill_all(words.wishes),
        facets=tuple(
            Facet(
                facet.words,
                fill(facet.topic),
                fill_all(facet.asks),
                tuple(Item(fill(item.name), _from_assistant(fill(item.detail))) for item in facet.items),
                facet.in_parts,
            )
            for facet in words.facets
        ),
    )


def _from_assistant(text: str) -> str:
    """The slots name people as the user does ("my teacher"); the assistant says "your teacher"."""
    return re.sub(r"\bmy\b", "your", text)


def language_words(code: str) -> Language:
    """The frames of one language."""
    return LANGUAGES[code]
