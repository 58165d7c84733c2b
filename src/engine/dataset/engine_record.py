"""The engine's own records, one line of `conversations.jsonl`, read as conversations of the common form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.dataset.record import FORMAT
from engine.dataset.record_format import NotARecord, Place, RecordFormat, id_of, origin_of, rest_of, text_of
from engine.schema.conversation import Role
from engine.schema.dataset import Construction, Conversation, ConversationTurn, ProfileText, ScenarioText

_USED = (
    "id", "task_name", "language", "scenario", "profile", "history", "end_reason", "models",
    "dropped_because", "construction",
)  # fmt: skip


def read_engine_record(record: Mapping[str, object], place: Place) -> Conversation:
    """One record of the engine. `flags` and the rest that has no field of its own are in `extra`, whole."""
    history = record.get("history")
    if not isinstance(history, list):
        raise NotARecord("has no list of messages under `history`")
    scenario, profile, models = (_object(record.get(key)) for key in ("scenario", "profile", "models"))
    number = scenario.get("number")
    findings = [_object(flag) for flag in _list(record.get("flags"))]
    return Conversation(
        conversation_id=id_of(record.get("id"), place),
        turns=tuple(
            _turn(_object(message), [text_of(f.get("rule")) for f in findings if f.get("turn") == index])
            for index, message in enumerate(history)
        ),
        origin=origin_of("engine", place),
        task=text_of(record.get("task_name") or record.get("task")),
        scenario=ScenarioText(
            number=number if isinstance(number, int) else None,
            text=text_of(scenario.get("text")),
            variables=_object(scenario.get("variables")),
        ),
        profile=ProfileText(
            profile_id=text_of(profile.get("id")),
            text=text_of(profile.get("text")),
            fields={key: text_of(value) for key, value in _object(profile.get("fields")).items()},
        ),
        language=text_of(record.get("language")),
        construction=_construction(record.get("construction")),
        models={side: text_of(name) for side, name in models.items()},
        end_reason=text_of(record.get("end_reason")) or None,
        flags=tuple(dict.fromkeys(text_of(f.get("rule")) for f in findings)),
        dropped_because=tuple(map(text_of, _list(record.get("dropped_because")))),
        extra=rest_of(record, _USED) | {"requirements": scenario.get("requirements", [])},
    )


ENGINE = RecordFormat("engine", lambda record: record.get("format") == FORMAT, read_engine_record)


def _turn(message: Mapping[str, object], rules: Sequence[str]) -> ConversationTurn:
    try:
        role = Role(text_of(message.get("role")))
    except ValueError:
        raise NotARecord("`history` holds a message of neither a user nor an assistant") from None
    marks = map(text_of, _list(message.get("flags")))
    return ConversationTurn(
        role=role,
        content=text_of(message.get("content")),
        flags=tuple(dict.fromkeys((*marks, *rules))),
        extra=rest_of(message, ("role", "content", "flags")),
    )


def _construction(value: object) -> Construction:
    """Two LLMs, unless the record says otherwise, as those of `engine baseline` do."""
    known = {each.value: each for each in Construction}
    return known.get(text_of(value), Construction.LLM_LLM)


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
