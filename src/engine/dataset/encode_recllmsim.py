"""The RecLLMSim release's own layout, written from any conversation; `dataset/recllmsim.py` reads it.

What the layout has no field for goes into further fields beside its own, which readers of the release pass
over. Records of the release or the reference do not come here: they keep what they hold.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.dataset.encode_jsonl import summary_of
from engine.dataset.utterance import labels
from engine.schema.annotation import Hallucination, Kind, find, hallucination_of, intents_of, ratings_of
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation, ConversationTurn
from engine.schema.profile import ASPECTS

_LABELS = {aspect.key: aspect.label_en for aspect in ASPECTS}


def encode_recllmsim(
    conversation: Conversation, author: str | None = None, *, with_id: bool = False
) -> dict[str, object]:
    """The record; `with_id` puts the conversation's id first, as the reference's JSON Lines have it."""
    scenario, profile = conversation.scenario, conversation.profile
    number = int(profile.profile_id) if _is_number(profile.profile_id) else profile.profile_id
    record: dict[str, object] = {"id" if with_id else "conversation_id": conversation.conversation_id}
    record |= {"task": conversation.task, "task_context_id": scenario.number, "task_context": scenario.text}
    record |= _in_chinese("task_context", scenario.translations)
    record |= {"preference_id": number, "preference": profile.text}
    record |= _in_chinese("preference", profile.translations)
    record["history"] = [_message(turn, author) for turn in conversation.turns]
    if ratings := ratings_of(conversation.annotations, author):
        record["rating"] = ratings
    if phrases := summary_of(conversation, author):
        record["preference_summary"] = phrases
    mapped = find(conversation.annotations, Kind.PROFILE_MAPPED, author)
    if mapped is not None and isinstance(mapped.value, Mapping):
        record["profile_mapped"] = {_LABELS.get(key, key): labels for key, labels in mapped.value.items()}
    further: dict[str, object] = {
        "language": conversation.language,
        "construction": conversation.construction,
        "person": conversation.person,
        "models": dict(conversation.models),
        "end_reason": conversation.end_reason,
        "flags": list(conversation.flags),
        "dropped_because": list(conversation.dropped_because),
    }
    return record | {key: value for key, value in further.items() if value and key not in record}


def _message(turn: ConversationTurn, author: str | None) -> dict[str, object]:
    message: dict[str, object] = {"role": turn.role, "content": turn.content}
    message |= {f"content_{language}": text for language, text in turn.translations.items()}
    said = labels(turn, author)
    if turn.role is Role.USER:
        intents = list(intents_of(turn.annotations, author))
        if find(turn.annotations, Kind.INTENT, author) is not None:
            # One intent stands alone in the release; several, or none, are a list as in the human data.
            message["intent"] = intents[0] if len(intents) == 1 else intents
        message |= {key: said[key] for key in ("intent_en", "intent_zh", "satisfaction") if key in said}
    elif (verdict := hallucination_of(turn.annotations, author)) is not None:
        message["hallucination"] = _verdict(verdict)
        message |= {key: said[key] for key in ("reason_en", "reason_zh") if key in said}
    if turn.flags:
        message["flags"] = list(turn.flags)
    return message


def _verdict(verdict: Hallucination) -> dict[str, object]:
    return {"hallucination": verdict.is_hallucinated, "memo": verdict.memo}


def _in_chinese(name: str, translations: Mapping[str, str]) -> dict[str, str]:
    return {f"{name}_{language}": text for language, text in translations.items()}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and str(int(text[:18])) == text
