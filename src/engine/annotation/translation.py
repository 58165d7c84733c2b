"""Translates utterances, profile and scenario between English and Chinese, and checks what comes back.

A translation is asked for again while it lacks numbers or list lines of the source, is far too short or long,
or still holds the source's language; after the last attempt the one with the fewest faults stays, flagged.
Bounds: of 11,330 turns of RecLLMSim's LLM part with a translation, 98 % have 0.20 to 0.40 Chinese characters
per English one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from engine.annotation.annotator import Answer, Question, by_turn, turn_step
from engine.annotation.context import Room, shorten
from engine.annotation.judgements import strict_object
from engine.annotation.prompts import Prompts
from engine.annotation.replies import read_text
from engine.config.model_settings import StageName
from engine.schema.annotation import Annotation, Kind, Target
from engine.schema.dataset import Conversation
from engine.wire.reply_schema import ReplySchema

NAMES = {"en": "English", "zh": "Chinese (simplified)"}
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_LIST_LINE = re.compile(r"^[ \t]*(?:\d+[.)、]|[-*•])[ \t]*\S", re.MULTILINE)
_CHINESE = re.compile(r"[㐀-鿿]")
_LATIN_WORDS = re.compile(r"(?:[A-Za-z']+[ ,]+){9,}[A-Za-z']+")
_SHORTEST = 20  # of shorter texts a ratio says nothing
_ZH_PER_EN = (0.12, 0.7)
_LEAST_CHINESE = 0.35
_MOST_CHINESE = 0.1
_MOSTLY = 0.5
_PARTS = ("scenario", "profile")
_SCHEMA = ReplySchema("translation", strict_object(translation={"type": "string"}))


@dataclass(frozen=True, slots=True)
class Translator:
    """Each text that has no translation into the other language yet."""

    name: str = "translation"
    role: StageName = "translator"
    version: int = 1
    schema: ReplySchema = _SCHEMA

    def questions(self, conversation: Conversation, prompts: Prompts, room: Room) -> Iterator[Question]:
        """Each turn, then the scenario and the profile, each by itself."""
        target = target_of(conversation)
        system = {"language": NAMES[target]}
        base = "".join(text for _, text in prompts.messages(system, {"text": ""}, 1))
        # The translation has to fit as well, and is about as long.
        left = room.less(base)
        texts = [
            (turn_step(number), turn.content)
            for number, turn in enumerate(conversation.turns)
            if target not in turn.translations
        ]
        for part, holder in (("scenario", conversation.scenario), ("profile", conversation.profile)):
            if target not in holder.translations:
                texts.append((part, holder.text))
        for step, text in texts:
            if needs_translation(text, target):
                shown = shorten(text, left)
                check = partial(_check, source=shown, target=target)
                yield Question(step, system, {"text": shown}, check, int(shown != text))

    def facts(self, conversation: Conversation) -> Mapping[str, object]:
        """The language that is translated into."""
        return {"language": target_of(conversation)}

    def read(
        self, conversation_id: str, answers: Mapping[str, Answer], facts: Mapping[str, object]
    ) -> Iterator[Annotation]:
        """One annotation per turn, and one with scenario and profile."""
        language = str(facts.get("language", ""))
        for target, answer in by_turn(conversation_id, answers):
            value = {"language": language, "text": read_text(answer.data, "translation")}
            yield Annotation(Kind.TRANSLATION, target, value, details=answer.details)
        parts = {part: answers[part] for part in _PARTS if part in answers}
        if parts:
            texts = {part: read_text(answer.data, "translation") for part, answer in parts.items()}
            details = {part: dict(answer.details) for part, answer in parts.items()}
            yield Annotation(
                Kind.TRANSLATION, Target(conversation_id), {"language": language, **texts}, details=details
            )


def target_of(conversation: Conversation) -> str:
    """The other language: Chinese for a conversation in English, else English."""
    language = conversation.language[:2]
    if language not in NAMES:
        sample = "".join(turn.content for turn in conversation.turns[:4])
        language = "zh" if _share_of_chinese(sample) > _MOST_CHINESE else "en"
    return "en" if language == "zh" else "zh"


def needs_translation(text: str, target: str) -> bool:
    """Whether `text` says something in the other language."""
    share = _share_of_chinese(text)
    is_there = share > _MOSTLY if target == "zh" else share < _MOST_CHINESE
    return any(letter.isalpha() for letter in text) and not is_there


def faults(source: str, translation: str, target: str) -> tuple[str, ...]:
    """Names of what is wrong with a translation: numbers, lists, length, untranslated."""
    found = []
    if _numbers(source) - _numbers(translation):
        found.append("numbers")
    if len(_LIST_LINE.findall(source)) != len(_LIST_LINE.findall(translation)):
        found.append("lists")
    share = _share_of_chinese(source)
    is_plain = share < _MOST_CHINESE if target == "zh" else share > _MOSTLY
    if len(source) >= _SHORTEST and is_plain:
        low, high = _ZH_PER_EN
        chinese, english = (translation, source) if target == "zh" else (source, translation)
        if not low <= len(chinese) / len(english) <= high:
            found.append("length")
    share = _share_of_chinese(translation)
    is_left = share > _MOST_CHINESE if target == "en" else share < _LEAST_CHINESE
    if any(letter.isalpha() for letter in translation) and (
        is_left or (target == "zh" and _LATIN_WORDS.search(translation))
    ):
        found.append("untranslated")
    return tuple(found)


def _check(data: Mapping[str, object], *, source: str, target: str) -> tuple[str, ...]:
    return faults(source, read_text(data, "translation"), target)


def _numbers(text: str) -> Counter[str]:
    """Numbers as digits alone, since separators differ between languages."""
    return Counter(re.sub(r"[.,:]", "", number) for number in _NUMBER.findall(text))


def _share_of_chinese(text: str) -> float:
    letters = sum(letter.isalpha() for letter in text)
    return len(_CHINESE.findall(text)) / letters if letters else 0.0
