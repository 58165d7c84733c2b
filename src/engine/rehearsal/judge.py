"""The rehearsal's judge: it answers the prompts of every annotator, wrong at a known rate.

What is true is a plain function of the text that is asked about (`true_intent`, ...), so that a test can say
how often a judge should agree with it. Which annotator asks is told by the JSON that its prompt asks for,
what it asks about by the tags around it: both are what any wording of the templates has to hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import orjson

from engine.rehearsal.asked import Message
from engine.rehearsal.dice import Dice, hash64
from engine.rehearsal.judge_words import CONCEPTS, concept_of
from engine.rehearsal.translator import translate

T = TypeVar("T")
_ASKED_FOR = re.compile(r'\{\s*"([A-Za-z][\w -]*)":')
_TAGGED = {
    name: re.compile(rf"<{name}>\n(.*)\n</{name}>", re.DOTALL)
    for name in ("utterance", "conversation", "phrases", "text", "requirements")
}
_LABEL = re.compile(r"^- ([^:\n]+?)(?:: |$)", re.MULTILINE)
_MEASURE = re.compile(r'"([^"]+)": 0 to (\d)')
_ASPECT = re.compile(r"^- (\w+): (.*)$", re.MULTILINE)
_ASSISTANT_TURN = re.compile(r'<turn number="(\d+)" speaker="assistant">')
_FIRST_TURN = re.compile(r'<turn number="\d+" speaker="\w+">\n(.*?)\n</turn>', re.DOTALL)
# So many replies, for each wrong one, cannot be used at all and are asked for again.
_UNUSABLE_SHARE = 0.2
_PLANNING = re.compile(r"\b(?:plan|itinerary|schedule|arrange|steps?)\b|计划|安排|行程|步骤|规划", re.I)
_RECOMMENDING = re.compile(r"\b(?:recommend|suggest|which|best|ideas?)\b|推荐|建议|哪", re.I)
_SEARCHING = re.compile(
    r"\b(?:what|where|how|when|who|is there|are there|tell me)\b|什么|哪里|怎么|多少|吗", re.I
)
_HALLUCINATED = 0.05
_FEW, _MANY = 3, 5


def judge(messages: Sequence[Message], dice: Dice, error_rate: float) -> str | None:
    """The judge's reply; None where these messages are not an annotator's."""
    if len(messages) != 2 or messages[0].role != "system":
        return None
    system, material = messages[0].text, messages[1].text
    asked = _ASKED_FOR.search(system)
    answer = None if asked is None else _ANSWERS.get("ratings" if _MEASURE.search(system) else asked[1])
    if answer is None:
        return None
    if dice.uniform() < error_rate * _UNUSABLE_SHARE:
        return "I would say that it depends."
    # Of the replies that can be used, the share of wrong ones is the rate itself.
    found = answer(system, material, dice, dice.uniform() < error_rate)
    return None if found is None else orjson.dumps(found).decode()


def true_intent(text: str, labels: Sequence[str]) -> str:
    """The label of an utterance: by its words for the paper's labels, by its hash for others."""
    if "Planning" not in labels:
        return labels[hash64(0, b"intent", text.encode()) % len(labels)]
    if _PLANNING.search(text):
        return "Planning"
    asks_which, asks_what = _RECOMMENDING.search(text), _SEARCHING.search(text)
    if asks_which and asks_what:
        return "Search & Recommendation"
    return "Recommendation" if asks_which else "Search" if asks_what else "Others"


def true_hallucination(text: str) -> bool:
    """Whether a reply counts as hallucinated: one in twenty does."""
    return Dice(hash64(0, b"hallucination", text.encode())).uniform() < _HALLUCINATED


def true_satisfaction(text: str) -> int:
    """1 to 5, mostly 3 and 4."""
    return (1, 2, 3, 3, 3, 4, 4, 4, 4, 5)[hash64(0, b"satisfaction", text.encode()) % 10]


def true_consistency(text: str) -> str:
    """What an utterance contradicts: nothing, but for one in twenty-five."""
    draw = Dice(hash64(0, b"consistency", text.encode())).uniform()
    return "profile" if draw < 0.02 else "itself" if draw < 0.04 else "nothing"


def true_ratings(opening: str, most: Mapping[str, int]) -> dict[str, int]:
    """Each measure's rating of the conversation that begins so; the highest in two cases of three."""
    ratings = {}
    for name, highest in most.items():
        draw = hash64(0, b"rating", name.encode(), opening.encode())
        ratings[name] = highest if draw % 3 else (draw >> 8) % (highest + 1)
    return ratings


def _intent(system: str, material: str, dice: Dice, is_wrong: bool) -> dict[str, object] | None:
    text, labels = _tagged("utterance", material), _LABEL.findall(system)
    if text is None or not labels:
        return None
    label = _other(true_intent(text, labels), labels, dice) if is_wrong else true_intent(text, labels)
    return {"intent": [label] if '["label"' in system else label}


def _hallucination(_: str, material: str, dice: Dice, is_wrong: bool) -> dict[str, object] | None:
    text = _tagged("utterance", material)
    if text is None:
        return None
    verdict = true_hallucination(text) != is_wrong
    return {"hallucination": verdict, "reason": "Two of its claims cannot both hold." if verdict else ""}


def _satisfaction(_: str, material: str, dice: Dice, is_wrong: bool) -> dict[str, object] | None:
    text = _tagged("utterance", material)
    if text is None:
        return None
    score = true_satisfaction(text)
    return {"satisfaction": _other(score, (1, 2, 3, 4, 5), dice) if is_wrong else score}


def _ratings(system: str, material: str, dice: Dice, is_wrong: bool) -> dict[str, object] | None:
    opening = _opening(material)
    if opening is None:
        return None
    most = {name: int(highest) for name, highest in _MEASURE.findall(system)}
    ratings: dict[str, object] = {}
    for name, score in true_ratings(opening, most).items():
        ratings[name] = _other(score, range(most[name] + 1), dice) if is_wrong else score
    return ratings


def _phrases(_: str, material: str, dice: Dice, is_wrong: bool) -> dict[str, object] | None:
    opening = _opening(material)
    if opening is None:
        return None
    concepts = Dice(hash64(0, b"phrases", opening.encode()))
    count = _FEW + concepts.below(_MANY - _FEW + 1)
    start = concepts.below(len(CONCEPTS))
    chosen = [CONCEPTS[(start + 3 * i) % len(CONCEPTS)] for i in range(count)]
    phrases = [dice.choose(concept) for concept in chosen]
    if is_wrong:
        phrases[-1] = dice.choose(CONCEPTS[(start + 1) % len(CONCEPTS)])
    return {"phrases": phrases}


def _groups(_: str, material: str, dice: Dice, is_wrong: bool) -> dict[str, object] | None:
    text = _tagged("phrases", material)
    if text is None:
        return None
    by_concept: dict[int, list[str]] = {}
    for phrase in text.split("\n"):
        if (concept := concept_of(phrase)) is not None:
            by_concept.setdefault(concept, []).append(phrase)
    groups = [{"name": same[0], "same": same[1:]} for same in by_concept.values() if len(same) > 1]
    if is_wrong:
        groups.append({"name": "what nobody ever said", "same": ["nor this"]})
    return {"groups": groups}


def _translation(system: str, material: str, dice: Dice, is_wrong: bool) -> dict[str, object] | None:
    text = _tagged("text", material)
    if text is None:
        return None
    if is_wrong:  # what models do: leave it as it is
        return {"translation": text}
    return {"translation": translate(text, "zh" if "Chinese" in system else "en")}


def _labels_by_words(system: str, material: str, dice: Dice, is_wrong: bool) -> dict[str, object] | None:
    found: dict[str, object] = {}
    text = material.lower()
    for key, listed in _ASPECT.findall(system):
        labels = listed.split(" | ")
        said = [label for label in labels if any(word in text for word in _telling_words(label))][:4]
        found[key] = [dice.choose(labels)] if is_wrong else said
    return found or None


def _consistency(_: str, material: str, dice: Dice, is_wrong: bool) -> dict[str, object] | None:
    text = _tagged("utterance", material)
    if text is None:
        return None
    what = true_consistency(text)
    if is_wrong:
        what = _other(what, ("nothing", "profile", "itself"), dice)
    return {"contradicts": what, "reason": "" if what == "nothing" else "It was said otherwise before."}


def _goal(_: str, material: str, dice: Dice, is_wrong: bool) -> dict[str, object] | None:
    listed = _tagged("requirements", material)
    turns = [int(number) for number in _ASSISTANT_TURN.findall(material)]
    if listed is None or not turns:
        return None
    met: list[int | None] = []
    for requirement in listed.split("\n"):
        draw = hash64(0, b"goal", requirement.encode(), str(turns).encode())
        met.append(turns[(draw >> 8) % len(turns)] if draw % 4 else None)
    return {"met": [dice.choose(turns) for _ in met] if is_wrong else met}


def _telling_words(label: str) -> list[str]:
    """The words of a label that tell of it, in their shortest form."""
    return [word.lower().rstrip("s") for word in re.findall(r"[A-Za-z]{5,}|\d\d", label)]


def _tagged(name: str, material: str) -> str | None:
    found = _TAGGED[name].search(material)
    return None if found is None else found[1]


def _opening(material: str) -> str | None:
    found = _FIRST_TURN.search(material)
    return None if found is None else found[1]


def _other(value: T, values: Sequence[T], dice: Dice) -> T:
    others = [each for each in values if each != value]
    return dice.choose(others) if others else value


_Answer = Callable[[str, str, Dice, bool], dict[str, object] | None]
_ANSWERS: dict[str, _Answer] = {
    "intent": _intent, "hallucination": _hallucination, "satisfaction": _satisfaction, "ratings": _ratings,
    "phrases": _phrases, "groups": _groups, "translation": _translation, "contradicts": _consistency,
    "met": _goal, "gender": _labels_by_words,
}  # fmt: skip
