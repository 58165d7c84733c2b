"""Made-up conversations for tests of statistics."""

from __future__ import annotations

from collections.abc import Sequence

from engine.schema.annotation import PAPER_INTENTS, Annotation, Kind, Target
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation, ConversationTurn, Origin, ProfileText, ScenarioText


def words(text: str) -> int:
    """A count of tokens that a test can do in its head."""
    return len(text.split())


def conversation(
    *contents: str,
    task: str = "travel planning",
    scenario: int = 1,
    rating: dict[str, int] | None = None,
    intents: Sequence[object] = (),
    verdicts: Sequence[bool | None] = (),
    dropped_because: tuple[str, ...] = (),
    conversation_id: str = "c",
    first: Role = Role.USER,
) -> Conversation:
    """Turns alternate from `first` on; `intents` are of the user's turns, `verdicts` of the assistant's."""
    intent, verdict = iter(intents), iter(verdicts)
    turns = []
    for index, content in enumerate(contents):
        role = first if index % 2 == 0 else next(role for role in Role if role is not first)
        target = Target(conversation_id, index)
        made: tuple[Annotation, ...] = ()
        if role is Role.USER and (labels := next(intent, None)):
            made = (Annotation(Kind.INTENT, target, labels if isinstance(labels, list) else [labels]),)
        elif role is Role.ASSISTANT and (found := next(verdict, "none")) != "none":
            made = (Annotation(Kind.HALLUCINATION, target, {"hallucination": found, "memo": ""}),)
        turns.append(ConversationTurn(role=role, content=content, annotations=made))
    return Conversation(
        conversation_id=conversation_id,
        turns=tuple(turns),
        origin=Origin(format="test"),
        task=task,
        scenario=ScenarioText(number=scenario),
        profile=ProfileText(profile_id="p", text="a profile"),
        annotations=(Annotation(Kind.RATING, Target(conversation_id), rating),) if rating else (),
        label_sets={"intent": PAPER_INTENTS},
        dropped_because=dropped_because,
    )
