"""Who judged what, and how: annotations by several authors, sorted into questions and units.

A question is one thing that authors can agree on: the intent, the hallucination verdict, the satisfaction of
a turn, or one of the ratings of a conversation. A unit is the turn or conversation that was judged. Where a
turn may have several intents, the whole set is the answer, and each label is a yes-or-no question of its own.
"cannot tell" is an answer like others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from engine.schema.annotation import DATASET, METRICS, Annotation, Kind
from engine.schema.dataset import Conversation

KINDS = (Kind.INTENT, Kind.HALLUCINATION, Kind.SATISFACTION, Kind.RATING)
_MOST = {metric.name: metric.most for metric in METRICS}
_VERDICTS = {True: "hallucination", False: "none", None: "cannot tell"}

Answer = str | int


@dataclass(slots=True)
class Unit:
    """What was judged, and each author's answer. `conversation` and `task` are for resampling and tables."""

    conversation: str
    task: str
    answers: dict[str, Answer] = field(default_factory=dict)


@dataclass(slots=True)
class Question:
    """One question. `is_ordinal`: its answers are whole numbers in order. `known`: answers in their order."""

    name: str
    is_ordinal: bool = False
    known: tuple[Answer, ...] = ()
    units: dict[tuple[str, int | None], Unit] = field(default_factory=dict)

    @property
    def authors(self) -> list[str]:
        """Everybody who answered, in alphabetical order."""
        return sorted({author for unit in self.units.values() for author in unit.answers})

    def categories(self) -> list[Answer]:
        """All answers that were given or are known, in order."""
        given = {answer for unit in self.units.values() for answer in unit.answers.values()}
        return [*self.known, *sorted(given - set(self.known), key=lambda answer: (str(type(answer)), answer))]


class Judgements:
    """Collects answers from conversations; several datasets that share ids may be added one after another."""

    def __init__(self, kinds: Iterable[str] = KINDS) -> None:
        self._kinds = frozenset(kinds)
        self.questions: dict[str, Question] = {}

    def __repr__(self) -> str:
        return f"Judgements({', '.join(self.questions) or 'none'})"

    def add(self, conversation: Conversation, *, renamed: Mapping[str, str] | None = None) -> None:
        """Take in one conversation's annotations. `renamed`: author to the name to be used instead.

        Of several annotations of one kind by one author the first counts, as everywhere.
        """
        names = renamed or {}
        places: list[tuple[int | None, tuple[Annotation, ...]]] = [(None, conversation.annotations)]
        places += [(index, turn.annotations) for index, turn in enumerate(conversation.turns)]
        for at, said in places:
            seen: set[tuple[str, str]] = set()
            for annotation in said:
                key = annotation.kind, annotation.author
                if annotation.kind not in self._kinds or key in seen:
                    continue
                seen.add(key)
                author = names.get(annotation.author, annotation.author)
                for question, answer in self._answers(annotation, conversation):
                    unit = question.units.setdefault(
                        (conversation.conversation_id, at),
                        Unit(conversation.conversation_id, conversation.task),
                    )
                    unit.answers.setdefault(author, answer)

    def _answers(
        self, annotation: Annotation, conversation: Conversation
    ) -> Iterator[tuple[Question, Answer]]:
        value = annotation.value
        if annotation.kind == Kind.INTENT and isinstance(value, Sequence) and not isinstance(value, str):
            yield from self._intents([str(label) for label in value], conversation)
        elif annotation.kind == Kind.HALLUCINATION and isinstance(value, Mapping):
            verdict = value.get("hallucination")
            answer = _VERDICTS[verdict if isinstance(verdict, bool) else None]
            yield self._question(Kind.HALLUCINATION, known=tuple(_VERDICTS.values())), answer
        elif annotation.kind == Kind.SATISFACTION and isinstance(value, int):
            yield self._question(Kind.SATISFACTION, is_ordinal=True, known=(1, 2, 3, 4, 5)), value
        elif annotation.kind == Kind.RATING and isinstance(value, Mapping):
            for metric, score in value.items():
                if isinstance(score, int):
                    known = tuple(range(_MOST.get(metric, -1) + 1))
                    yield self._question(f"rating: {metric}", is_ordinal=True, known=known), score

    def _intents(self, labels: list[str], conversation: Conversation) -> Iterator[tuple[Question, Answer]]:
        label_set = conversation.label_sets.get(Kind.INTENT)
        if label_set is None or not label_set.is_multi:
            known: tuple[Answer, ...] = label_set.labels if label_set else ()
            yield self._question(Kind.INTENT, known=known), " + ".join(labels)
            return
        in_order = sorted(
            set(labels), key=lambda x: (label_set.labels.index(x) if x in label_set.labels else 99, x)
        )
        yield self._question(Kind.INTENT, known=label_set.labels), " + ".join(in_order)
        for label in label_set.labels:
            question = self._question(f"intent: {label}", known=("yes", "no"))
            yield question, "yes" if label in labels else "no"

    def _question(self, name: str, *, is_ordinal: bool = False, known: tuple[Answer, ...] = ()) -> Question:
        if name not in self.questions:
            self.questions[name] = Question(str(name), is_ordinal, known)
        return self.questions[name]


def group_of(author: str) -> str:
    """`human`, `judge`, or `dataset` for labels that came with the data."""
    kind = author.partition(":")[0]
    return kind if kind in ("human", "judge") else DATASET
