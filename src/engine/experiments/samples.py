"""Intent samples: one per utterance of the simulator that has exactly one intent, in the paper's order.

The order decides the paper's split, so it is fixed here: task name, then the conversation's id with its
numbers read as numbers, then the turn. Utterances without a label or with several are left out and counted.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.errors import BadInput
from engine.schema.annotation import PAPER_INTENTS, intents_of
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation

_NUMBER = re.compile(r"(\d+)")
_FEWEST = 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One utterance of the simulator and its intent.

    `turn` counts the simulator's turns from 0. `profile` is a digest of the profile's text, since several ids
    may share a text. `previous` is the assistant's utterance before it, empty at the start.
    """

    conversation_id: str
    turn: int
    text: str
    intent: str
    task: str
    profile: str
    previous: str


@dataclass(frozen=True, slots=True)
class IntentData:
    """All samples of a dataset. `digest` names what decides a result: texts, labels, contexts and order."""

    samples: tuple[Sample, ...]
    labels: tuple[str, ...]
    digest: str
    left_out: Mapping[str, int]
    is_rehearsal: bool = False

    def __repr__(self) -> str:
        return f"IntentData({len(self.samples)} samples, {len(self.labels)} intents, {self.digest})"


def collect_samples(conversations: Iterable[Conversation], author: str | None = None) -> IntentData:
    """The intent samples of kept conversations, labelled by `author` (None: whoever comes first).

    Raises BadInput where there are too few samples for a split, or fewer than two intents.
    """
    samples: list[Sample] = []
    left_out: Counter[str] = Counter()
    is_rehearsal = False
    for conversation in conversations:
        if not conversation.is_kept:
            left_out["in a dropped conversation"] += sum(t.role is Role.USER for t in conversation.turns)
            continue
        is_rehearsal |= bool(conversation.extra.get("is_rehearsal"))
        samples += _of_conversation(conversation, author, left_out)
    samples.sort(key=lambda sample: (sample.task, natural_key(sample.conversation_id), sample.turn))
    found = {sample.intent for sample in samples}
    if len(samples) < _FEWEST or len(found) < 2:
        whose = f" by {author}" if author else ""
        raise BadInput(
            f"the data has {len(samples)} user utterances with one intent{whose} and {len(found)} different"
            f" intents; an experiment needs {_FEWEST} and 2. Annotate intents first"
            " (`engine annotate RUN --with intent`), or name a dataset that has them."
        )
    paper = PAPER_INTENTS.labels
    labels = paper if found <= set(paper) else tuple(sorted(found))
    return IntentData(tuple(samples), labels, _digest(samples), dict(left_out), is_rehearsal)


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that reads runs of digits as numbers: `gifts-2` comes before `gifts-10`."""
    parts = _NUMBER.split(text)
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts)


def _of_conversation(
    conversation: Conversation, author: str | None, left_out: Counter[str]
) -> Iterable[Sample]:
    profile = conversation.profile.text or conversation.profile.profile_id or conversation.person
    profile_digest = _hash([profile]) if profile else f"unknown-{conversation.conversation_id}"
    previous, turn = "", 0
    for each in conversation.turns:
        if each.role is not Role.USER:
            previous = each.content
            continue
        intents = intents_of(each.annotations, author)
        intents = tuple(label for label in intents if label.strip())
        if len(intents) == 1:
            yield Sample(
                conversation_id=conversation.conversation_id,
                turn=turn,
                text=each.content,
                intent=intents[0],
                task=conversation.task,
                profile=profile_digest,
                previous=previous,
            )
        else:
            left_out["with several intents" if intents else "without an intent"] += 1
        turn += 1


def _digest(samples: Iterable[Sample]) -> str:
    return _hash(
        part
        for s in samples
        for part in (s.conversation_id, str(s.turn), s.text, s.intent, s.task, s.profile, s.previous)
    )


def _hash(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]
