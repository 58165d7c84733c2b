"""An utterance with all that is known of it, flat: texts, intent, hallucination and reason in both languages.

Every export takes these fields from here, so that they mean the same in every format. Labels of the paper
and of the human data have a name in each language; others are given as they are in both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from engine.dialogue.speech import CJK
from engine.schema.annotation import Kind, find, hallucination_of, intents_of
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation, ConversationTurn

LANGUAGES = ("en", "zh")
_PAIRS = (
    ("Search", "搜索"),
    ("Recommendation", "推荐"),
    ("Search & Recommendation", "搜索与推荐"),
    ("Planning", "规划"),
    ("Evaluation", "评估"),
    ("Others", "其它"),
)
_LABELS = {"en": {zh: en for en, zh in _PAIRS}, "zh": dict(_PAIRS)}
_CJK = re.compile(f"[{CJK}]")
_LETTER = re.compile(r"[^\W\d_]")


class Utterance(NamedTuple):
    """One turn of an export. `at` counts turns from 0; a text or verdict that is not there is None."""

    at: int
    role: str
    content: str
    content_en: str | None
    content_zh: str | None
    intent: list[str]
    intent_en: list[str]
    intent_zh: list[str]
    hallucination: bool | None
    reason: str | None
    reason_en: str | None
    reason_zh: str | None
    satisfaction: int | None
    flags: list[str]


def utterances(conversation: Conversation, author: str | None = None) -> Iterator[Utterance]:
    """The turns in order, labels by `author` or by whoever is first."""
    own = languages_of(conversation)
    for at, turn in enumerate(conversation.turns):
        yield _utterance(at, turn, own, author)


def labels(turn: ConversationTurn, author: str | None = None) -> dict[str, object]:
    """Only what was said about a turn: its labels as far as there are any, for formats with free fields."""
    found = _utterance(0, turn, "", author)._asdict()
    kept = ("intent", "intent_en", "intent_zh", "reason", "reason_en", "reason_zh", "satisfaction", "flags")
    fields: dict[str, object] = {key: found[key] for key in kept if found[key]}
    if hallucination_of(turn.annotations, author) is not None:
        fields["hallucination"] = found["hallucination"]
    return fields


def languages_of(conversation: Conversation) -> str:
    """`en`, `zh` or another code: what the utterances are written in, told by their script if not said."""
    if conversation.language:
        return conversation.language.replace("_", "-").partition("-")[0].lower()
    return script_of(" ".join(turn.content[:200] for turn in conversation.turns[:4]))


def script_of(text: str) -> str:
    """`zh` where a third of the letters is Chinese, else `en`."""
    return "zh" if 3 * len(_CJK.findall(text)) > len(_LETTER.findall(text)) else "en"


def text_in(turn: ConversationTurn, language: str, own: str) -> str | None:
    """The utterance in one language, as it was written or translated; None where it is in neither."""
    return turn.content if language == own else turn.translations.get(language)


def label_in(label: str, language: str) -> str:
    """An intent's name in a language; itself where it has none."""
    return _LABELS[language].get(label, label)


def _utterance(at: int, turn: ConversationTurn, own: str, author: str | None) -> Utterance:
    intent = list(intents_of(turn.annotations, author)) if turn.role is Role.USER else []
    verdict = hallucination_of(turn.annotations, author)
    reason = (verdict.memo if verdict else "") or None
    satisfaction = find(turn.annotations, Kind.SATISFACTION, author)
    score = satisfaction.value if satisfaction else None
    reasons = _reasons(turn, reason, author)
    return Utterance(
        at=at,
        role=turn.role.value,
        content=turn.content,
        content_en=text_in(turn, "en", own),
        content_zh=text_in(turn, "zh", own),
        intent=intent,
        intent_en=[label_in(label, "en") for label in intent],
        intent_zh=[label_in(label, "zh") for label in intent],
        hallucination=verdict.is_hallucinated if verdict else None,
        reason=reason,
        reason_en=reasons.get("en"),
        reason_zh=reasons.get("zh"),
        satisfaction=score if isinstance(score, int) else None,
        flags=list(turn.flags),
    )


def _reasons(turn: ConversationTurn, reason: str | None, author: str | None) -> dict[str, str]:
    """Language to reason: as it was written, and as `memo_en`, `memo_zh` or `details` give it."""
    if reason is None:
        return {}
    found = find(turn.annotations, Kind.HALLUCINATION, author)
    given: dict[str, object] = {}
    if found is not None and isinstance(found.value, Mapping):
        translated = found.details.get("translations")
        given = dict(translated) if isinstance(translated, Mapping) else {}
        given |= {language: found.value.get(f"memo_{language}") for language in LANGUAGES}
    texts = {language: text for language, text in given.items() if isinstance(text, str) and text}
    return {script_of(reason): reason} | texts
