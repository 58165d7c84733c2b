"""What is measured of one conversation when datasets are compared: a number for each measure, or None.

Texts are read in one language where a dataset has translations, so that two languages can be compared. None
means that a conversation does not say (nobody rated it, it has no second turn): it then counts for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from engine.analysis import manners
from engine.analysis.facts import revealed
from engine.analysis.words import content_units
from engine.schema.annotation import METRICS, hallucination_of, ratings_of
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation, ConversationTurn

Measured = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Reading:
    """How texts are read: in `language` where a turn has a translation into it, and whose labels count."""

    count_tokens: Callable[[str], int]
    language: str | None = None
    author: str | None = None

    def text(self, turn: ConversationTurn) -> str:
        """The turn's utterance as it is compared."""
        return turn.translations.get(self.language, turn.content) if self.language else turn.content

    def texts(self, conversation: Conversation, role: Role) -> list[str]:
        """One side's utterances in order."""
        return [self.text(turn) for turn in conversation.turns if turn.role is role]


LENGTHS = (
    "rounds", "tokens of a user turn", "tokens of an assistant turn", "tokens of the first user turn",
)  # fmt: skip
MANNERS = (
    "questions a user turn", "broad questions", "user turns that object", "courteous user turns",
    "user turns that refer back", "words from the last reply",
)  # fmt: skip
FACTS = "profile facts revealed"
HALLUCINATED = "hallucinated replies"
RATINGS = tuple(f"rating: {metric.name}" for metric in METRICS)
ALL = (*LENGTHS, *MANNERS, FACTS, HALLUCINATED, *RATINGS)

MEANINGS = {
    "broad questions": "share of open questions and requests (what, how, recommend) among those told to be "
    "open or closed (yes or no, how many, when)",
    "user turns that object": "they turn something down, correct it, find fault",
    "courteous user turns": "they thank, ask kindly, excuse themselves",
    "user turns that refer back": "context dependency: turns after the first that point at what was said",
    "words from the last reply": "context dependency: share of a later user turn's content words that stand "
    "in the reply before it",
    FACTS: "share of the profile's facts, gender and age apart, of which the user has said half the words",
}


def measure(conversation: Conversation, reading: Reading) -> Measured:
    """Every measure of `ALL`, shares from 0 to 1."""
    user = reading.texts(conversation, Role.USER)
    assistant = reading.texts(conversation, Role.ASSISTANT)
    asked = [manners.questions(text) for text in user]
    opened, closed = (sum(pair[i] for pair in asked) for i in (0, 1))
    facts = revealed(conversation)
    ratings = ratings_of(conversation.annotations, reading.author)
    return {
        "rounds": conversation.rounds,
        "tokens of a user turn": _mean([reading.count_tokens(text) for text in user]),
        "tokens of an assistant turn": _mean([reading.count_tokens(text) for text in assistant]),
        "tokens of the first user turn": reading.count_tokens(user[0]) if user else None,
        "questions a user turn": _mean([sum(pair) for pair in asked]),
        "broad questions": opened / (opened + closed) if opened + closed else None,
        "user turns that object": _mean([manners.is_objecting(text) for text in user]),
        "courteous user turns": _mean([manners.is_courteous(text) for text in user]),
        "user turns that refer back": _mean([manners.is_referring_back(text) for text in user[1:]]),
        "words from the last reply": _mean(_overlaps(conversation, reading)),
        FACTS: facts[-1] if facts else None,
        HALLUCINATED: _hallucinated(conversation, reading),
        **{f"rating: {metric.name}": ratings.get(metric.name) for metric in METRICS},
    }


def _overlaps(conversation: Conversation, reading: Reading) -> list[float]:
    shares, reply = [], ""
    for turn in conversation.turns:
        text = reading.text(turn)
        if turn.role is Role.ASSISTANT:
            reply = text
        elif reply and (said := content_units(text)):
            shares.append(len(said & content_units(reply)) / len(said))
    return shares


def _hallucinated(conversation: Conversation, reading: Reading) -> float | None:
    verdicts = [
        found.is_hallucinated
        for turn in conversation.turns
        if turn.role is Role.ASSISTANT
        and (found := hallucination_of(turn.annotations, reading.author)) is not None
        and found.is_hallucinated is not None
    ]
    return _mean(verdicts)


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
