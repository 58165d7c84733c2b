"""Agreement of authors: which pairs and groups there are, their intervals, several labels a turn."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest
from tests.unit.analysis.made_up import conversation

from engine.analysis.agreement import QuestionAgreement, agreement
from engine.analysis.judgements import Judgements, group_of
from engine.schema.annotation import HUMAN_INTENTS, PAPER_INTENTS, Annotation, Kind, LabelSet, Target
from engine.schema.dataset import Conversation

LABELS = PAPER_INTENTS.labels


def judged(
    conversation_id: str,
    said: Mapping[str, Sequence[object]],
    *,
    kind: str = Kind.INTENT,
    task: str = "t",
    label_set: LabelSet = PAPER_INTENTS,
) -> Conversation:
    """A conversation whose user turns were judged by each author in turn; None is no judgement."""
    n = max(map(len, said.values()))
    found = conversation(*(["ask", "reply"] * n), task=task, conversation_id=conversation_id)
    added = tuple(
        Annotation(kind, Target(conversation_id, 2 * i), value, author=author)
        for author, values in said.items()
        for i, value in enumerate(values)
        if value is not None
    )
    made = found.with_annotations(added)
    return Conversation(
        **{name: getattr(made, name) for name in Conversation.__slots__} | {"label_sets": {kind: label_set}}
    )


def measured(conversations: Sequence[Conversation], draws: int = 200) -> dict[str, QuestionAgreement]:
    judgements = Judgements()
    for each in conversations:
        judgements.add(each)
    return {found.question: found for found in agreement(judgements, draws=draws)}


def noisy(n: int, errors: float, judges: int = 2, seed: int = 3) -> list[Conversation]:
    """Each judge gives another label than the right one at this rate."""
    rng = random.Random(seed)
    made = []
    for i in range(n):
        right = [rng.choice(LABELS) for _ in range(4)]
        said = {"human:ann": [[label] for label in right]}
        for j in range(judges):
            said[f"judge:{j}"] = [
                [
                    rng.choice([other for other in LABELS if other != label])
                    if rng.random() < errors
                    else label
                ]
                for label in right
            ]
        made.append(judged(f"c{i}", said, task=("a", "b")[i % 2]))
    return made


def test_pairs_are_named_by_who_they_are() -> None:
    found = measured(noisy(30, 0.2))["intent"]
    assert [(pair.first, pair.second, pair.relation) for pair in found.pairs] == [
        ("human:ann", "judge:0", "judge-human"),
        ("human:ann", "judge:1", "judge-human"),
        ("judge:0", "judge:1", "judge-judge"),
    ]
    assert [(group.group, group.authors) for group in found.groups] == [
        ("judge", ["judge:0", "judge:1"]),
        ("all", ["human:ann", "judge:0", "judge:1"]),
    ]
    assert group_of("dataset") == "dataset"


@pytest.mark.parametrize("errors", [0.05, 0.2, 0.5])
def test_a_known_error_rate_lies_within_the_interval(errors: float) -> None:
    pair = measured(noisy(150, errors))["intent"].pairs[0]
    share = pair.coefficients["percent"]
    assert share.low is not None
    assert share.high is not None
    assert share.low <= 1 - errors <= share.high
    assert pair.units == 600


def test_confusion_by_task_adds_up_to_the_whole() -> None:
    pair = measured(noisy(20, 0.3))["intent"].pairs[0]
    assert set(pair.by_task) == {"a", "b"}
    total = [
        [sum(task.confusion[i][j] for task in pair.by_task.values()) for j in range(5)] for i in range(5)
    ]
    assert total == pair.confusion
    assert sum(map(sum, total)) == pair.units


def test_intervals_widen_where_turns_of_a_conversation_agree_alike() -> None:
    """Conversations are drawn: eight equal turns in one carry no more than one would."""
    same = [
        judged(f"c{i}", {"judge:a": [["Search"]] * 8, "judge:b": [["Search" if i % 3 else "Others"]] * 8})
        for i in range(40)
    ]
    one = [
        judged(f"c{i}", {"judge:a": [["Search"]], "judge:b": [["Search" if i % 3 else "Others"]]})
        for i in range(40)
    ]
    wide, narrow = (measured(each)["intent"].pairs[0].coefficients["percent"] for each in (same, one))
    assert (wide.low, wide.high) == pytest.approx((narrow.low, narrow.high))


def test_ratings_are_ordinal_questions_with_rank_correlation() -> None:
    made = []
    for i in range(12):
        base = conversation("u", "a", conversation_id=f"c{i}")
        made.append(
            base.with_annotations(
                tuple(
                    Annotation(Kind.RATING, Target(f"c{i}"), {"Diversity": score}, author=author)
                    for author, score in (("judge:a", i % 3), ("human:b", (i + (i > 9)) % 3))
                )
            )
        )
    found = measured(made)["rating: Diversity"]
    assert found.categories == [0, 1, 2]
    assert set(found.pairs[0].coefficients) >= {"Spearman", "Krippendorff's alpha, ordinal"}
    assert found.pairs[0].relation == "judge-human"


def test_several_labels_a_turn_agree_as_a_set_and_label_by_label() -> None:
    said: dict[str, list[object]] = {
        "human:a": [["规划", "推荐"], ["评估"]],
        "human:b": [["推荐", "规划"], ["其它", "评估"]],
    }
    found = measured([judged("c", said, label_set=HUMAN_INTENTS)])
    assert found["intent"].pairs[0].coefficients["percent"].value == 0.5
    assert found["intent: 评估"].pairs[0].coefficients["percent"].value == 1
    assert found["intent: 其它"].pairs[0].coefficients["percent"].value == 0.5


def test_units_that_only_some_judged_count_where_they_can() -> None:
    said: dict[str, list[object]] = {
        "judge:a": [["Search"], ["Others"]],
        "judge:b": [["Search"], None],
        "judge:c": [None, ["Others"]],
    }
    found = measured([judged("c", said)])["intent"]
    group = next(group for group in found.groups if group.group == "judge")
    assert (group.units, group.everywhere) == (2, 0)
    assert group.coefficients["Fleiss' kappa"].value is None
    assert group.coefficients["Krippendorff's alpha"].value == pytest.approx(1.0)
    assert len(found.pairs) == 2


def test_one_author_alone_is_no_agreement() -> None:
    assert measured([judged("c", {"judge:a": [["Search"]]})]) == {}


def test_cannot_tell_is_an_answer() -> None:
    made = []
    for i, verdict in enumerate((True, None, False)):
        base = conversation("u", "a", conversation_id=f"c{i}")
        made.append(
            base.with_annotations(
                tuple(
                    Annotation(Kind.HALLUCINATION, Target(f"c{i}", 1), {"hallucination": value}, author=who)
                    for who, value in (("human:a", verdict), ("human:b", bool(verdict)))
                )
            )
        )
    found = measured(made)["hallucination"]
    assert found.categories == ["hallucination", "none", "cannot tell"]
    assert found.pairs[0].coefficients["percent"].value == pytest.approx(2 / 3)
