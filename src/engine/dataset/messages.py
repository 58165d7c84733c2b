"""Chat formats without a scheme of their own: OpenAI messages and ShareGPT, one conversation a record.

Only user and assistant messages with a text are turns. System and tool messages, and assistant messages that
call a tool and say nothing, stay where they stood in `extra["other_messages"]`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from engine.dataset.record_format import (
    NotARecord,
    Place,
    RecordFormat,
    id_of,
    origin_of,
    rest_of,
    text_of,
)
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation, ConversationTurn, ScenarioText

_OPENAI_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT}
_SHAREGPT_ROLES = {
    "human": Role.USER, "user": Role.USER,
    "gpt": Role.ASSISTANT, "assistant": Role.ASSISTANT, "model": Role.ASSISTANT, "chatgpt": Role.ASSISTANT,
    "bard": Role.ASSISTANT, "bing": Role.ASSISTANT, "claude": Role.ASSISTANT,
}  # fmt: skip
# Of other roles, those that nobody need be told of.
_KNOWN_OTHERS = {
    "system", "developer", "tool", "function", "function_call", "observation", "tool_call", "tool_response",
}  # fmt: skip
_IDS = ("id", "conversation_id")
_LISTS = ("conversations", "conversation")


def read_openai(record: Mapping[str, object], place: Place) -> Conversation:
    """A record with `messages`, each with `role` and `content`: text, null, or parts as of the chat API."""
    return _read(record, place, "openai", ("messages",), _openai_message)


def read_sharegpt(record: Mapping[str, object], place: Place) -> Conversation:
    """A record with `conversations`, each with `from` and `value`."""
    return _read(record, place, "sharegpt", _LISTS, _sharegpt_message)


def _holds(record: Mapping[str, object], keys: Sequence[str], field: str) -> bool:
    messages = next((record[key] for key in keys if key in record), None)
    return isinstance(messages, list) and all(isinstance(m, dict) and field in m for m in messages)


OPENAI = RecordFormat("openai", lambda record: _holds(record, ("messages",), "role"), read_openai)
SHAREGPT = RecordFormat("sharegpt", lambda record: _holds(record, _LISTS, "from"), read_sharegpt)

# A message as (role, text, flags); a role of None stands for a message that is no turn.
_Said = tuple[Role | None, str, tuple[str, ...]]


def _read(
    record: Mapping[str, object],
    place: Place,
    name: str,
    keys: Sequence[str],
    understand: Callable[[Mapping[str, object]], _Said],
) -> Conversation:
    key = next((key for key in keys if isinstance(record.get(key), list)), None)
    if key is None:
        raise NotARecord(f"has no list of messages under `{keys[0]}`")
    messages = record[key]
    assert isinstance(messages, list)
    turns: list[ConversationTurn] = []
    others: list[dict[str, object]] = []
    flags: list[str] = []
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise NotARecord(f"holds at {index} of `{key}` something that is no message")
        role, text, noticed = understand(message)
        if role is None:
            others.append({"at": len(turns), "message": message})
            flags += noticed
        else:
            extra = rest_of(message, ("role", "from", "value") if name == "sharegpt" else ("role",))
            if extra.get("content") == text:
                del extra["content"]
            turns.append(ConversationTurn(role=role, content=text, flags=noticed, extra=extra))
    return Conversation(
        conversation_id=id_of(next((record[i] for i in _IDS if i in record), None), place),
        turns=tuple(turns),
        origin=origin_of(name, place),
        task=record["task"] if isinstance(record.get("task"), str) else "",  # type: ignore[arg-type]
        scenario=ScenarioText(),
        language=record["language"] if isinstance(record.get("language"), str) else "",  # type: ignore[arg-type]
        flags=tuple(flags),
        extra=rest_of(record, (key, *_IDS, "task", "language"))
        | ({"other_messages": others} if others else {}),
    )


def _openai_message(message: Mapping[str, object]) -> _Said:
    name = text_of(message.get("role"))
    role = _OPENAI_ROLES.get(name)
    if role is None:
        return None, "", () if name in _KNOWN_OTHERS else ("unknown_role",)
    content = message.get("content")
    if content is None and (message.get("tool_calls") or message.get("function_call")):
        return None, "", ()
    if isinstance(content, list):
        texts = [part.get("text") if isinstance(part, dict) else part for part in content]
        flags = () if all(isinstance(text, str) for text in texts) else ("non_text_content",)
        return role, "\n".join(text for text in texts if isinstance(text, str)), flags
    return role, text_of(content), () if isinstance(content, str) else ("non_text_content",)


def _sharegpt_message(message: Mapping[str, object]) -> _Said:
    name = text_of(message.get("from")).lower()
    role = _SHAREGPT_ROLES.get(name)
    if role is None:
        return None, "", () if name in _KNOWN_OTHERS else ("unknown_role",)
    value = message.get("value")
    return role, text_of(value), () if isinstance(value, str) else ("non_text_content",)
