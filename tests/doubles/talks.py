"""Small conversations in the common form, as annotators and exports read them."""

from __future__ import annotations

from engine.schema.conversation import Role
from engine.schema.dataset import Conversation, ConversationTurn, Origin, ProfileText, ScenarioText


def talk(*texts: str, name: str = "t-1", task: str = "travel planning", language: str = "en") -> Conversation:
    """A conversation of these utterances, the user's first."""
    roles = (Role.USER, Role.ASSISTANT)
    return Conversation(
        conversation_id=name,
        turns=tuple(ConversationTurn(role=roles[at % 2], content=text) for at, text in enumerate(texts)),
        origin=Origin(format="made"),
        task=task,
        language=language,
        scenario=ScenarioText(number=1, text="Plan a trip of 3 days."),
        profile=ProfileText(
            profile_id="p1",
            text="1. Gender: Female\n2. Age: 40",
            fields={"travel_habits": "Travels by rail, avoids crowds. Packs light"},
        ),
    )
