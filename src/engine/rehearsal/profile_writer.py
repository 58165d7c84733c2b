"""The rehearsal's writer of profiles: it answers every prompt for profiles, with defects at known rates.

A request for profiles is told by its `<aspects>`; `<people>`, `<persons>` and `<keys>` say the rest: these
tags, and a number of profiles, are what any wording of the templates has to hold. Of the replies the share
`defect_rate` has one defect of form; of the profiles `duplicate_share` are one of a few favourites again,
as many are a favourite with one aspect changed, and `contradiction_share` contradict themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from engine.rehearsal.asked import Message
from engine.rehearsal.dice import Dice, hash64
from engine.rehearsal.vocabulary.people import (
    CHATTER,
    CONTRADICTIONS,
    GENDERS,
    HEADINGS,
    PIECES,
    REFUSALS,
    WORK,
)
from engine.schema.profile import ASPECTS

_TAGGED = {
    name: re.compile(rf"<{name}>\n(.*?)\n</{name}>", re.DOTALL)
    for name in ("aspects", "people", "persons", "keys")
}
_ASPECT = re.compile(r"^\d+\. ([^(（\n]+?)(?: \(.*\)|（.*）)?$", re.MULTILINE)
_KEY = re.compile(r"^- (\w+)[:：]", re.MULTILINE)
_COUNT = re.compile(r"(\d+) (?:more )?(?:user )?profile|(\d+)份")
_FIRST = re.compile(r"numbered from (\d+)|从(\d+)开始编号")
_AGES = re.compile(r"(\d+) to (\d+) years|(\d+)至(\d+)岁")
_BY_LABEL = {label: aspect.key for aspect in ASPECTS for label in (aspect.label_en, aspect.label_zh)} | {
    "Dislikes": "dislikes",
    "不喜欢的事物": "dislikes",
}
_FAVOURITES = 24
# Kinds of one reply's defect: the first four change nothing of what is said.
HARMLESS = ("fence", "emphasis", "runs_on", "chatter")
HARMFUL = ("missing", "merged", "empty", "refusal", "cut_off")


def duplicate_share(rate: float) -> float:
    """The share of profiles that are a favourite word for word, and that of favourites with a change."""
    return 0.4 * rate


def contradiction_share(rate: float) -> float:
    """The share of profiles that contradict themselves."""
    return 0.1 * rate


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a request asks for: labels and keys of the aspects, how many, whom."""

    labels: tuple[str, ...]
    keys: tuple[str, ...]
    count: int
    first: int
    is_json: bool
    people: str
    persons: tuple[str, ...]
    language: str
    has_turns: bool


def write_profiles(messages: Sequence[Message], dice: Dice, seed: int, rate: float) -> tuple[str, str] | None:
    """The reply and its finish reason; None where these messages do not ask for profiles."""
    wish = _wish_of(messages)
    if wish is None:
        return None
    kind = dice.choose((*HARMLESS, *HARMFUL)) if dice.uniform() < rate else ""
    people = [_person(wish, position, dice, seed, rate) for position in range(wish.count)]
    if kind == "refusal":
        return REFUSALS[wish.language], "stop"
    text = _as_json(wish, people, kind, dice) if wish.is_json else _as_lines(wish, people, kind, dice)
    if kind == "cut_off":
        return text[: len(text) - dice.below(len(text) // wish.count // 2 + 1) - 4], "length"
    return text, "stop"


def _wish_of(messages: Sequence[Message]) -> _Wish | None:
    asking = next((m.text for m in reversed(messages) if "<aspects>" in m.text and m.role == "user"), None)
    if asking is None or (listed := _TAGGED["aspects"].search(asking)) is None:
        return None
    last = messages[-1].text
    labels = tuple(_ASPECT.findall(listed[1]))
    asked_keys = _TAGGED["keys"].search(asking)
    keys = tuple(_KEY.findall(asked_keys[1])) if asked_keys else tuple(_BY_LABEL.get(x, "") for x in labels)
    count, first = _COUNT.search(last), _FIRST.search(last)
    people, persons = _TAGGED["people"].search(asking), _TAGGED["persons"].search(last)
    return _Wish(
        labels, keys,
        min(200, int(count[1] or count[2])) if count else 1,
        int(first[1] or first[2]) if first else 1,
        asked_keys is not None,
        people[1] if people else "",
        tuple(persons[1].split("\n")) if persons else (),
        "zh" if any("\u4e00" <= letter <= "\u9fff" for letter in listed[1]) else "en",
        any(turn in _examples(asking) for turn in ("; ", "；")),
    )  # fmt: skip


def _person(wish: _Wish, position: int, dice: Dice, seed: int, rate: float) -> dict[str, str]:
    who = wish.persons[position] if position < len(wish.persons) else ""
    draw = dice.uniform()
    share = duplicate_share(rate)
    if draw < share:
        return dict(_favourite(wish, seed, dice.below(_FAVOURITES)))
    if draw < 2 * share:
        person = dict(_favourite(wish, seed, dice.below(_FAVOURITES)))
        key = dice.choose(wish.keys[2:] or wish.keys)
        return person | {key: _value(key, wish, who, dice)}
    person = {key: _value(key, wish, who, dice) for key in wish.keys}
    if dice.uniform() < contradiction_share(rate):
        key, text = CONTRADICTIONS[wish.language]
        if key in person:
            person[key] = text
    return person


def _examples(asking: str) -> str:
    """The examples shown: the writer writes like them, with dislikes inside aspects or without."""
    return asking.partition("Example:")[2] or asking.partition("例子：")[2]


def _favourite(wish: _Wish, seed: int, number: int) -> Mapping[str, str]:
    """One of the people that this writer likes best, wherever and whoever is asked for."""
    dice = Dice(hash64(seed, b"favourite", wish.language.encode(), str(number).encode()))
    alike = replace(wish, people="", persons=())
    return {key: _value(key, alike, "", dice) for key in wish.keys}


def _value(key: str, wish: _Wish, who: str, dice: Dice) -> str:
    """One aspect of the person that `who` describes."""
    language, people = wish.language, wish.people
    ages = _AGES.search(who)
    low, high = (18, 85) if ages is None else (int(ages[1] or ages[3]), int(ages[2] or ages[4]))
    if key == "gender":
        genders = GENDERS[language]
        named = next((said for word, said in genders if re.search(rf"(?<![a-z]){word}", who)), None)
        return named or dice.choose((genders[1][1], genders[2][1]))
    if key == "age":
        return str(low + dice.below(max(1, high - low + 1)))
    if key == "occupation":
        fields = WORK[language]
        field = next((jobs for word, jobs in fields if word in people), None)
        jobs = field or dice.choose(fields)[1]
        # Nobody is retired in youth, except that a favourite's age is changed.
        young = tuple(job for job in jobs if not job.startswith(("Retired", "退休")))
        return dice.choose(jobs if low >= 45 else young)
    pieces = PIECES[language].get(key, PIECES[language][""])
    at = dice.below(len(pieces.good))
    other = (at + 1 + dice.below(len(pieces.good) - 1)) % len(pieces.good)
    joint, turn = ("、", "；") if language == "zh" else (", ", "; ")
    second, bad = pieces.good[other], dice.choose(pieces.bad)
    text = f"{pieces.good[at]}{joint}{second[:1].lower()}{second[1:]}"
    return f"{text}{turn}{bad}" if wish.has_turns else text


def _as_lines(wish: _Wish, people: Sequence[Mapping[str, str]], kind: str, dice: Dice) -> str:
    blocks = []
    spoilt = dice.below(len(people))
    number = 0
    for position, person in enumerate(people):
        lines = []
        for i, (label, key) in enumerate(zip(wish.labels, wish.keys, strict=True)):
            number = number + 1 if kind == "runs_on" else i + 1
            name = f"**{label}**" if kind == "emphasis" else label
            lines.append(f"{number}. {name}: {person[key]}")
        if position == spoilt:
            at = dice.below(len(lines) - 1)
            if kind == "missing":
                del lines[at]
            elif kind == "empty":
                lines[at] = lines[at].partition(":")[0] + ": N/A"
            elif kind == "merged":
                said = lines[at + 1].partition(". ")[2]
                lines[at : at + 2] = [f"{lines[at]}, {said}"]
        heading = f"{HEADINGS[wish.language]} {wish.first + position}"
        blocks.append("\n".join([f"**{heading}**" if kind == "emphasis" else heading, *lines]))
    return _wrapped("\n\n".join(blocks), wish.language, kind, "")


def _as_json(wish: _Wish, people: Sequence[Mapping[str, str]], kind: str, dice: Dice) -> str:
    written: list[dict[str, object]] = [dict(person) for person in people]
    spoilt, key = dice.choose(written), dice.choose(wish.keys)
    if kind == "missing":
        del spoilt[key]
    elif kind == "empty":
        spoilt[key] = None
    elif kind == "merged":
        spoilt[key] = [spoilt[key]]
    return _wrapped(orjson.dumps({"profiles": written}).decode(), wish.language, kind, "json")


def _wrapped(text: str, language: str, kind: str, fence: str) -> str:
    if kind == "fence":
        return f"```{fence}\n{text}\n```"
    if kind == "chatter":
        before, after = CHATTER[language]
        return f"{before}\n\n{text}\n\n{after}"
    return text
