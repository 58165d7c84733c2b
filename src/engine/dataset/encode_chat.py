"""The chat formats: OpenAI fine-tuning messages and ShareGPT, one conversation a record.

Labels stand at the utterance: in ShareGPT as further fields of its message; in OpenAI's format, whose
messages may hold `role` and `content` alone, in `labels` beside them, by the message's place. Messages that
are no turns (system, tool) come back where they stood.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.dataset.utterance import labels
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation, ConversationTurn

_SPEAKERS = {Role.USER: "human", Role.ASSISTANT: "gpt"}
Message = dict[str, object]


def encode_openai(conversation: Conversation, author: str | None = None) -> Message:
    """`messages` with `role` and `content`; `labels` tells by `at`, its place, what is known of a message."""
    messages: list[object] = []
    told: list[Message] = []

    def add(turn: ConversationTurn) -> Message:
        said = _labels(turn, author)
        if said:
            told.append({"at": len(messages)} | said)
        return {"role": turn.role, "content": turn.content}

    _place(conversation, messages, add)
    record = {"messages": messages} | _about(conversation)
    return record | {"labels": told} if told else record


def plain_openai(conversation: Conversation) -> Message:
    """`messages` and nothing else, as fine-tuning services take them."""
    messages: list[object] = []
    _place(conversation, messages, lambda turn: {"role": turn.role, "content": turn.content})
    return {"messages": messages}


def encode_sharegpt(conversation: Conversation, author: str | None = None) -> Message:
    """`conversations` with `from` (human, gpt) and `value`, and the labels in the message."""
    messages: list[object] = []
    _place(
        conversation,
        messages,
        lambda turn: {"from": _SPEAKERS[turn.role], "value": turn.content} | _labels(turn, author),
    )
    return {"conversations": messages} | _about(conversation)


def _place(
    conversation: Conversation, messages: list[object], encode: Callable[[ConversationTurn], Message]
) -> None:
    """Append every turn as a message, and the other messages before the turns that they stood before."""
    others = conversation.extra.get("other_messages")
    waiting = list(others) if isinstance(others, list) else []
    for index, turn in enumerate(conversation.turns):
        while waiting and waiting[0]["at"] <= index:
            messages.append(waiting.pop(0)["message"])
        messages.append(encode(turn))
    messages += [each["message"] for each in waiting]


def _labels(turn: ConversationTurn, author: str | None) -> Message:
    translated = {f"content_{language}": text for language, text in turn.translations.items()}
    return translated | labels(turn, author)


def _about(conversation: Conversation) -> Message:
    about = {
        "id": conversation.conversation_id,
        "task": conversation.task,
        "language": conversation.language,
        "scenario": conversation.scenario.text,
        "profile_id": conversation.profile.profile_id,
        "profile": conversation.profile.text,
        "person": conversation.person,
    }
    return {key: value for key, value in about.items() if value}
