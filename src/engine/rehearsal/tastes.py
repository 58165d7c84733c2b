"""The profile's nine lines, read back, and its phrases turned into what this person says of themselves.

Aspects are phrases in the third person ("Restores motorcycles and follows football; dislikes yoga"). What
starts with a verb becomes a sentence of its own, "I restore motorcycles"; anything else stays a note, such as
"spicy noodles, little sugar", for frames that take any words. The words stay, so that a reader finds them.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import NamedTuple

from engine.rehearsal.vocabulary.verbs_en import (
    ADVERBS,
    HOMOGRAPHS,
    NO_OBJECT,
    UNCHANGED,
    VERBS,
    first_person,
)
from engine.schema.profile import ASPECTS

_KEYS = {label: aspect.key for aspect in ASPECTS for label in (aspect.label_en, aspect.label_zh)}
_LINE = re.compile(
    r"^[ \t]*\d[.．、)][ \t]*(" + "|".join(map(re.escape, _KEYS)) + r")[ \t]*[:：][ \t]*(.+)$", re.M
)
_CLAUSE = {"en": re.compile(r";\s*|\.(?:\s+|$)"), "zh": re.compile(r"[,;，；。]\s*|\.(?:\s+|$)")}
_JOINT = re.compile(r"(,) (?:and |but |yet |then )?| (?:and|but|yet) ")
_LATER_VERB = re.compile(r"(?:[,:]|\b(?:and|but|so|otherwise)) ([a-z-]+)")
_WORD = re.compile(r"[\w'’-]+")
_SUBJECT = re.compile(r"\b(he|she)\b( \w+ly| always| never)?(?: ([a-z]+))?")
# "her" is the person's own before a noun, and the person before these or at the end.
_OBJECT = (
    r"(?:(?<=gives her)|(?<=makes her)|(?<=elected her)"
    r"|(?=\W*$|[,;]| (?:out|in|to|for|when|and|with|at|from|on|off|feel)\b))"
)
_OWN = {
    "female": (
        (r"\bherself\b", "myself"),
        (r"\bhers\b", "mine"),
        (rf"\bher{_OBJECT}", "me"),
        (r"\bher\b", "my"),
    ),
    "male": ((r"\bhimself\b", "myself"), (r"\bhis\b", "my"), (r"\bhim\b", "me")),
    "": ((r"\bthemsel(?:f|ves)\b", "myself"), (r"\b(?:his|her|their)\b", "my")),
}
_CHINESE_STARTS = tuple(
    "喜爱偏习热经常注追会不有拥住善重乐享关崇愿对觉讨从只最怕嫌靠买看听写画做修种养打跑学坐骑开跳拼解踢拉"
    "厌正每把懒绝认舍没受离遵照调补当随花租带吃喝嗜研认打酿发练弹去也没"
)
_CHINESE_SELF = re.compile("(?<!其)[他她](?![人们])")
_CHINESE_JOINT = re.compile("^(?:但是?|却|而且?|并且?|所以|因此)")
_CHINESE_NOTE = re.compile("^.{1,3}$|^[^、]*(?:族|收入|过敏)$")
_PROPER = re.compile(
    r"(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|January|February|March|April|June|July|August|September"
    r"|October|November|December|Christmas|Ramadan|(?!Chee)[A-Z]\w+(?:ese|ish)|(?!Veg|Pesc|Flex|Civil)[A-Z]\w+ian"
    r"|Antarctic|Filipin[ao]|Inuk|Sámi|Methodist|Orthodox|Korean|German|Greek|French|Swiss|Thai|Dutch|Muslim|Catholic|Hindu|Sikh|Jewish|Buddhist|I)\b|\w?[A-Z]{2}"
)


class Statement(NamedTuple):
    """What the person says of themselves: a sentence without its full stop, or a note on `aspect`."""

    text: str
    aspect: str
    is_note: bool


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
def statements(profile: ProfileLines, aspects: tuple[str, ...], language: str) -> tuple[Statement, ...]:
    """What the person says of themselves, aspect by aspect in turn, so that few turns show many aspects."""
    values = dict(profile)
    own = _OWN.get(values.get("gender", "").lower(), _OWN[""])
    state = partial(_state, own=own) if language == "en" else _state_chinese
    columns = []
    for aspect in aspects:
        clauses = filter(None, _CLAUSE[language].split(values.get(aspect, "").strip()))
        units = (unit for clause in clauses for unit in (_units(clause) if language == "en" else (clause,)))
        said = [state(unit, aspect) for unit in units]
        columns.append([each for each in said if not _is_mixed(each)] or said)
    depth = max(map(len, columns), default=0)
    return tuple(column[row] for row in range(depth) for column in columns if row < len(column))


def lower_first(phrase: str) -> str:
    """The phrase as it stands inside a sentence; names and abbreviations keep their capital."""
    return phrase if _PROPER.match(phrase) else phrase[:1].lower() + phrase[1:]


def _units(clause: str) -> list[str]:
    """Cut before each verb that begins a statement of its own: "Pays cash, bargains, and lends much"."""
    units: list[str] = []
    start = 0
    for joint in _JOINT.finditer(clause):
        has_verb = _verb_at(clause[start : joint.start()]) is not None
        in_list = bool(joint[1]) and has_verb
        if (joint[1] or has_verb) and _verb_at(clause[joint.end() :], in_list=in_list) is not None:
            units.append(clause[start : joint.start()])
            start = joint.end()
    units.append(clause[start:])
    return units


def _verb_at(phrase: str, *, in_list: bool = False) -> tuple[str, int] | None:
    """The words after "I" that replace the phrase's beginning, and where that ends; None: no verb.

    `in_list`: verbs go before, so that a word that may be a noun is taken for one more verb.
    """
    words = [
        (match[0].lower(), match.end()) for _, match in zip(range(2), _WORD.finditer(phrase), strict=False)
    ]
    if not words:
        return None
    (first, end), (second, second_end) = words[0], words[1] if len(words) > 1 else ("", 0)
    if first in UNCHANGED:
        return first, end
    if first in ADVERBS or first.endswith("ly"):
        if second in UNCHANGED:
            return f"{first} {second}", second_end
        # After these, a word in "s" is a verb even where the table does not know it.
        is_verb = second in VERBS or second in HOMOGRAPHS
        is_verb = is_verb or (first in ("always", "never") and second[-1:] == "s" != second[-2:-1])
        return (f"{first} {first_person(second)}", second_end) if is_verb else None
    is_verb = in_list or (second != "" and second not in NO_OBJECT)
    if first in VERBS or (first in HOMOGRAPHS and is_verb):
        return first_person(first), end
    return None


def _state(unit: str, aspect: str, own: tuple[tuple[str, str], ...]) -> Statement:
    verb = _verb_at(unit) or _verb_at(unit, in_list=" " not in unit)
    text = _SUBJECT.sub(_speak_as_self, unit if verb is None else unit[verb[1] :])
    for pattern, word in own:
        text = re.sub(pattern, word, text, flags=re.I)
    if verb is None:
        return Statement(lower_first(text), aspect, True)
    return Statement(f"I {verb[0]}{text}", aspect, False)


def _is_mixed(statement: Statement) -> bool:
    """A note that goes on in the third person: "well paid, so keeps a reserve"."""
    return statement.is_note and any(verb in VERBS for verb in _LATER_VERB.findall(statement.text))


def _speak_as_self(match: re.Match[str]) -> str:
    verb = f" {first_person(match[3])}" if match[3] else ""
    return f"I{match[2] or ''}{verb}"


def _state_chinese(clause: str, aspect: str) -> Statement:
    """ "I" fits before a verb and before a topic with its comment, but not before a list of nouns."""
    text = _CHINESE_JOINT.sub("", _CHINESE_SELF.sub("我", clause))
    is_bare = "、" in text or _CHINESE_NOTE.match(text) is not None
    is_note = is_bare and not text.startswith(_CHINESE_STARTS)
    return Statement(text if is_note or text.startswith("我") else f"我{text}", aspect, is_note)
