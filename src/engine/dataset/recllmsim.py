"""The RecLLMSim release and the reference data derived from it, LLM and human, read as conversations.

Release layout (assumed from the public repository): `<folder>/<task name>/<number>.json`, one indented JSON
object per file, with the fields below and Chinese texts beside English ones under `<field>_zh`. The
reference files hold the same objects as JSON Lines with an `id`, `<task slug>-<file number>`; a release file
gets the id that the reference would give it. Human records carry Chinese labels, several intents a turn, and
a verdict on hallucination that may be "cannot tell".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from engine.dataset.record_format import (
    NotARecord,
    Place,
    RecordFormat,
    id_of,
    origin_of,
    rest_of,
    text_of,
)
from engine.schema.annotation import HUMAN_INTENTS, PAPER_INTENTS, Annotation, Kind, Target
from engine.schema.conversation import Role
from engine.schema.dataset import Construction, Conversation, ConversationTurn, ProfileText, ScenarioText
from engine.schema.profile import ASPECTS

LICENCE = "Apache-2.0"
ATTRIBUTION = "RecLLMSim (https://github.com/wzf2000/RecLLMSim)"
_SLUGS = {
    "preparing gifts": "gifts",
    "new travel planning": "newtravel",
    "recipe planning": "recipe",
    "skills learning planning": "skills",
    "travel planning": "travel",
}
_VERDICTS = {"是": True, "否": False, "无法判断": None}
_ASPECT_OF = {aspect.label_en: aspect.key for aspect in ASPECTS}
_HUMAN_ASPECT_OF = {
    "personality": "personality",
    "daily_interests": "daily_interests_and_hobbies",
    "travel_habits": "travel_habits",
    "dining_preferences": "dining_preferences",
    "spending_habits": "spending_habits",
    "other_aspects": "other_aspects",
    "gender": "gender",
    "age_band": "age",
    "occupation": "occupation",
}
_LINE = re.compile(r"\s*\d+\.\s*([^:：]+)[:：]\s*(.*)")
_USED = (
    "id", "task", "task_context_id", "task_context", "task_context_zh", "preference_id", "preference",
    "preference_zh", "history", "rating", "preference_summary", "profile_mapped", "user", "profile",
    "questionnaire",
)  # fmt: skip


def is_recllmsim(record: Mapping[str, object]) -> bool:
    """Whether a record looks like one of the release or the reference, LLM or human."""
    return isinstance(record.get("history"), list) and "task" in record and "task_context" in record


def read_recllmsim(record: Mapping[str, object], place: Place) -> Conversation:
    """One record of the release or the reference."""
    history, is_human = record.get("history"), "user" in record
    if not isinstance(history, list):
        raise NotARecord("has no list of messages under `history`")
    conversation_id = _id(record, place)
    turns: list[ConversationTurn] = []
    others: list[dict[str, object]] = []
    for index, message in enumerate(history):
        if not isinstance(message, dict):
            raise NotARecord(f"holds at {index} of `history` something that is no message")
        if message.get("role") in ("user", "assistant"):
            turns.append(_turn(message, Target(conversation_id, len(turns))))
        else:
            others.append({"at": len(turns), "message": message})
    number = record.get("task_context_id")
    return Conversation(
        conversation_id=conversation_id,
        turns=tuple(turns),
        origin=origin_of("recllmsim", place, LICENCE, ATTRIBUTION),
        task=text_of(record.get("task")),
        scenario=ScenarioText(
            number=number if isinstance(number, int) else None,
            text=text_of(record.get("task_context")),
            translations=_chinese(record, "task_context"),
        ),
        profile=ProfileText(
            profile_id=text_of(record.get("preference_id")),
            text=text_of(record.get("preference")),
            translations=_chinese(record, "preference"),
            fields=_human_fields(record) if is_human else profile_fields(text_of(record.get("preference"))),
        ),
        person=text_of(record.get("user")),
        language="zh" if is_human else "en",
        construction=Construction.HUMAN_LLM if is_human else Construction.LLM_LLM,
        annotations=tuple(_annotations(record, Target(conversation_id))),
        label_sets={Kind.INTENT: HUMAN_INTENTS if is_human else PAPER_INTENTS},
        flags=("unknown_role",) if others else (),
        extra=rest_of(record, [key for key in record if key in _USED or key.startswith("strategy")])
        | ({"other_messages": others} if others else {}),
    )


REFERENCE = RecordFormat("reference", lambda r: is_recllmsim(r) and "id" in r, read_recllmsim)
RECLLMSIM = RecordFormat("recllmsim", lambda r: is_recllmsim(r) and "id" not in r, read_recllmsim)


def profile_fields(text: str) -> dict[str, str]:
    """Aspect key to text, from the nine numbered lines; lines of another form are left out."""
    found = (_LINE.match(line) for line in text.splitlines())
    return {
        _ASPECT_OF[line[1].strip()]: line[2].strip()
        for line in found
        if line and line[1].strip() in _ASPECT_OF
    }


def _id(record: Mapping[str, object], place: Place) -> str:
    path = PurePosixPath(place.path)
    slug = _SLUGS.get(text_of(record.get("task")))
    if "id" not in record and slug and path.stem.isdigit():
        return f"{slug}-{int(path.stem):04d}"
    return id_of(record.get("id") or place.path.removesuffix(".json"), place)


def _turn(message: Mapping[str, object], target: Target) -> ConversationTurn:
    annotations = []
    if "intent" in message:
        intent = message["intent"]
        labels = list(intent) if isinstance(intent, list) else [] if intent is None else [intent]
        annotations.append(Annotation(Kind.INTENT, target, labels))
    if "hallucination" in message:
        annotations.append(Annotation(Kind.HALLUCINATION, target, _verdict(message["hallucination"])))
    return ConversationTurn(
        role=Role(str(message["role"])),
        content=text_of(message.get("content")),
        translations=_chinese(message, "content"),
        annotations=tuple(annotations),
        extra=rest_of(message, ("role", "content", "content_zh", "intent", "hallucination")),
    )


def _verdict(value: object) -> dict[str, object]:
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, str) and value in _VERDICTS:
        return {"hallucination": _VERDICTS[value], "memo": ""}
    return {"hallucination": value if isinstance(value, bool) else None, "memo": ""}


def _annotations(record: Mapping[str, object], target: Target) -> list[Annotation]:
    found = []
    if isinstance(rating := record.get("rating"), dict):
        found.append(Annotation(Kind.RATING, target, rating))
    if isinstance(phrases := record.get("preference_summary"), list):
        found.append(Annotation(Kind.PREFERENCE_SUMMARY, target, phrases))
    if isinstance(mapped := record.get("profile_mapped"), dict):
        value = {_ASPECT_OF.get(str(name), str(name)): _listed(labels) for name, labels in mapped.items()}
        found.append(Annotation(Kind.PROFILE_MAPPED, target, value))
    if isinstance(profile := record.get("profile"), dict):
        value = {
            _HUMAN_ASPECT_OF.get(str(key), str(key)): _in_chinese(labels) for key, labels in profile.items()
        }
        found.append(Annotation(Kind.PROFILE_MAPPED, target, value))
    if isinstance(answers := record.get("questionnaire"), list):
        found.append(Annotation(Kind.QUESTIONNAIRE, target, answers))
    if strategy := {key: value for key, value in record.items() if key.startswith("strategy")}:
        found.append(Annotation(Kind.STRATEGY, target, strategy))
    return found


def _human_fields(record: Mapping[str, object]) -> dict[str, str]:
    profile = record.get("profile")
    if not isinstance(profile, dict):
        return {}
    return {
        _HUMAN_ASPECT_OF.get(str(key), str(key)): "、".join(map(text_of, value))
        if isinstance(value, list)
        else text_of(value)
        for key, value in profile.items()
    }


def _listed(labels: object) -> list[object]:
    return labels if isinstance(labels, list) else [labels]


def _in_chinese(labels: object) -> list[object]:
    return [{"zh": label} for label in _listed(labels)]


def _chinese(fields: Mapping[str, object], name: str) -> dict[str, str]:
    text = fields.get(f"{name}_zh")
    return {"zh": text} if isinstance(text, str) else {}
