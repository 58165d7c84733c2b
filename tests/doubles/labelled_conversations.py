"""Small conversations whose user turns have intents that can be learned from their words."""

from __future__ import annotations

import random
from pathlib import Path

import orjson

from engine.schema.annotation import Annotation, Kind, Target
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation, ConversationTurn, Origin, ProfileText

WORDS = {
    "Planning": "plan schedule itinerary week",
    "Recommendation": "recommend suggest best favourite",
    "Search": "find where opening hours",
    "Others": "thanks great lovely perfect",
}
FILLERS = ["a", "the", "of", "to"]


def labelled(count: int = 40, *, profiles: int = 20, seed: int = 0) -> list[Conversation]:
    """`count` conversations of three rounds; each profile's text belongs to several of them."""
    chance = random.Random(seed)
    return [_conversation(f"gifts-{number}", number % profiles, chance) for number in range(count)]


def as_reference(conversations: list[Conversation], path: Path) -> Path:
    """Write them as the reference's JSON Lines."""
    with path.open("wb") as file:
        for each in conversations:
            history = [
                {"role": turn.role, "content": turn.content}
                | ({"intent": turn.annotations[0].value[0]} if turn.annotations else {})  # type: ignore[index]
                for turn in each.turns
            ]
            record = {
                "id": each.conversation_id,
                "task": each.task,
                "task_context_id": 1,
                "task_context": "Choose a gift.",
                "preference_id": int(each.profile.profile_id),
                "preference": each.profile.text,
                "history": history,
            }
            file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
    return path


def user_turn(name: str, turn: int, text: str, *intents: str) -> ConversationTurn:
    annotation = Annotation(Kind.INTENT, Target(name, turn), list(intents))
    return ConversationTurn(role=Role.USER, content=text, annotations=(annotation,) if intents else ())


def _conversation(name: str, profile: int, chance: random.Random) -> Conversation:
    turns: list[ConversationTurn] = []
    for _ in range(3):
        intent = chance.choice(list(WORDS))
        text = " ".join(
            chance.choices(WORDS[intent].split(), k=3) + chance.choices(["a", "the", "of", "to"], k=3)
        )
        turns.append(user_turn(name, len(turns), text, intent))
        turns.append(ConversationTurn(role=Role.ASSISTANT, content=f"An answer about {intent}."))
    return Conversation(
        conversation_id=name,
        turns=tuple(turns),
        origin=Origin(format="made"),
        task="preparing gifts",
        profile=ProfileText(profile_id=str(profile), text=f"1. Gender: Female\n2. Age: {profile // 2 + 20}"),
    )
