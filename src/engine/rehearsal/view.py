"""Who is asked: a user simulator, an assistant, or somebody who answers a question outside the dialogue.

The wire does not say so; the form does. A profile in the set-up means a simulator, whose own turns are
the assistant messages; without one the dialogue itself is the request, and the user messages are the user's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from engine.rehearsal.asked import Message
from engine.rehearsal.tastes import ProfileLines, read_profile, without_profile
from engine.rehearsal.vocabulary.catalogue import (
    LANGUAGES,
    NEUTRAL,
    Topic,
    detect_task,
    language_of,
    topic_of,
)
from engine.rehearsal.vocabulary.form import Item

_ACKNOWLEDGEMENTS = frozenset(
    {"got it.", "understood.", "ok.", "okay.", "明白了。", "好的。", "收到。", "了解。"}
)
_SETUP_MESSAGES = 12
_QUOTED_PHRASE = re.compile(r"[\"“「‘']([^\"”」’'\n]{3,60})[\"”」’']")
_GREETING_ASKED = re.compile(r"greet the user|open the conversation|问候用户|向用户问好|开始这段对话", re.I)
_DEBRIEF_WORDS = (
    *(
        f"{which} {talk}"
        for which in ("this", "our", "the", "above")
        for talk in ("conversation", "dialogue")
    ),
    *("summarise", "summarize", "本次对话", "这段对话", "以上对话", "这次对话", "总结"),
)
_TO_REPEAT = re.compile(r"\brepeat the suggestions\b|重复你之前给过的建议", re.I)
_CLERICAL = re.compile(r"\bJSON\b|\b(?:annotat|evaluat|translat|classif)|\brate the\b|翻译|标注|评分", re.I)
_CANDIDATE = re.compile(r"^- ([^:：\n]{1,200})(?:(?:: |：)(.+))?$", re.M)
_FEWEST_CANDIDATES = 3
_ADVICE_ASKED = re.compile(
    r"\b(?:recommend|suggest|help|plan|choose|choosing|looking for|advice|options?|ideas?)\b"
    r"|推荐|建议|帮|计划|选|主意",
    re.I,
)


@dataclass(frozen=True, slots=True)
class SimulatorView:
    """The simulator's side. `heard` is the last assistant turn, without the end prompt after it.

    `is_heard_again`: it is the turn before it, word by word.
    """

    setup: str
    profile: ProfileLines
    language: str
    topic: Topic
    own_turns: tuple[str, ...]
    heard: str
    end_prompt: str
    end_phrase: str
    is_heard_again: bool = False


@dataclass(frozen=True, slots=True)
class AssistantView:
    """The assistant's side. `opening` is the user's first turn that says what it is about.

    `is_to_repeat`: it is told to give its suggestions again, whatever the user says.
    """

    language: str
    topic: Topic
    opening: str
    own_turns: tuple[str, ...]
    heard: tuple[str, ...]
    is_to_repeat: bool = False
    # What its set-up lists for it to recommend.
    candidates: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class QuestionView:
    """A question outside the dialogue: kind `debrief`, `greeting` or `short`."""

    kind: str
    language: str
    topic: Topic
    profile: ProfileLines


View = SimulatorView | AssistantView | QuestionView


def view_of(messages: tuple[Message, ...]) -> View:
    """Classify a request; every list of messages has a view."""
    for i, message in enumerate(messages[: min(_SETUP_MESSAGES, len(messages) - 1)]):
        if message.role != "assistant" and (profile := read_profile(message.text)) is not None:
            return _simulator_side(messages, _setup_length(messages, i), profile)
    return _assistant_side(messages)


def _setup_length(messages: tuple[Message, ...], profile_at: int) -> int:
    """Leading system messages, or, in the paper's form, the pairs that end in the same fixed answer."""
    if messages[profile_at].role != "user":
        end = profile_at + 1
        while end < len(messages) - 1 and messages[end].role in ("system", "developer"):
            end += 1
        return end
    end = profile_at + 1
    if messages[end].role != "assistant":
        return end
    acknowledgement = messages[end].text
    end += 1
    while end + 2 < len(messages) and messages[end + 1] == ("assistant", acknowledgement):
        end += 2
    return end


def _simulator_side(messages: tuple[Message, ...], start: int, profile: ProfileLines) -> View:
    setup = "\n\n".join(message.text for message in messages[:start])
    scenario = without_profile(setup)
    language = language_of(setup)
    topic = topic_of(scenario, language)
    own_turns = tuple(message.text for message in messages[start:] if message.role == "assistant")
    heard, end_prompt, end_phrase = _split_end_prompt(messages[-1].text)
    if not end_phrase and own_turns:
        return QuestionView("debrief", language, topic, profile)
    if not own_turns:
        heard, end_prompt = "", ""
    return SimulatorView(
        setup,
        profile,
        language,
        topic,
        own_turns,
        heard,
        end_prompt,
        end_phrase or LANGUAGES[language].end_phrase,
        len(own_turns) > 1 and heard == _split_end_prompt(messages[-3].text)[0],
    )


def _split_end_prompt(text: str) -> tuple[str, str, str]:
    """The assistant's turn, the end prompt and its phrase; two empty strings where there is none."""
    for known in LANGUAGES.values():
        if (at := text.rfind(known.end_phrase)) >= 0:
            phrase = known.end_phrase
            break
    else:
        # A phrase of one's own is quoted by the last paragraph, which is a note from outside.
        paragraph = text.rfind("\n\n[") + 2
        quoted = _QUOTED_PHRASE.search(text, paragraph) if paragraph > 1 else None
        if quoted is None:
            return text, "", ""
        phrase, at = quoted[1], quoted.start(1)
    start = text.rfind("\n\n", 0, at)
    return (text[:start], text[start + 2 :], phrase) if start >= 0 else ("", text, phrase)


def _assistant_side(messages: tuple[Message, ...]) -> View:
    start = 0
    while start < len(messages) - 1 and messages[start].role in ("system", "developer"):
        start += 1
    while start + 2 < len(messages) and messages[start + 1].text.lower() in _ACKNOWLEDGEMENTS:
        start += 2
    heard = tuple(message.text for message in messages[start:] if message.role == "user")
    own_turns = tuple(message.text for message in messages[start:] if message.role == "assistant")
    last = messages[-1].text
    opening = next((text for text in heard if detect_task(text) != NEUTRAL), heard[0] if heard else last)
    language = language_of(opening)
    topic = topic_of(opening, language)
    if own_turns:
        lowered = last.lower()
        kind = "debrief" if any(word in lowered for word in _DEBRIEF_WORDS) else ""
    elif _CLERICAL.search(last):
        kind = "short"
    elif _GREETING_ASKED.search(last):
        kind = "greeting"
    else:
        kind = "" if topic.task != NEUTRAL or _ADVICE_ASKED.search(last) else "short"
    if kind:
        return QuestionView(kind, language, topic, ())
    is_to_repeat = any(_TO_REPEAT.search(message.text) for message in messages[:start])
    candidates = _candidates("\n".join(message.text for message in messages[:start]))
    return AssistantView(language, topic, opening, own_turns, heard, is_to_repeat, candidates)


@lru_cache(maxsize=256)
def _candidates(setup: str) -> tuple[Item, ...]:
    """The lines of a list with a dash and a name each; a few such lines are no list of candidates."""
    found = tuple(Item(match[1], match[2] or match[1]) for match in _CANDIDATE.finditer(setup))
    return found if len(found) >= _FEWEST_CANDIDATES else ()
