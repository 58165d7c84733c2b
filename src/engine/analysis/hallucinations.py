"""Hallucinated replies: how many assistant utterances hold a common-sense error, by task and conversation."""

from __future__ import annotations

from collections import Counter

from engine.schema.annotation import hallucination_of
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation


class Hallucinations:
    """Counts verdicts. `cannot_tell` are those that were judged without one; they are none of the others."""

    def __init__(self, author: str | None = None) -> None:
        self._author = author
        self.replies = 0
        self.judged = 0
        self.cannot_tell = 0
        self.hallucinated = 0
        self.conversations_with_any = 0
        self.by_task: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"Hallucinations({self.hallucinated} of {self.judged} judged replies)"

    def add(self, conversation: Conversation) -> None:
        """Count the replies of one conversation."""
        found = 0
        for turn in conversation.turns:
            if turn.role is not Role.ASSISTANT:
                continue
            self.replies += 1
            verdict = hallucination_of(turn.annotations, self._author)
            if verdict is not None:
                self.judged += 1
                self.cannot_tell += verdict.is_hallucinated is None
                found += verdict.is_hallucinated is True
        self.hallucinated += found
        self.conversations_with_any += found > 0
        if found:
            self.by_task[conversation.task] += found
