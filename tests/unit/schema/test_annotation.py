"""Annotations are read alike, whoever made them."""

from __future__ import annotations

from engine.schema.annotation import (
    METRICS,
    Annotation,
    Hallucination,
    Kind,
    Target,
    find,
    hallucination_of,
    intents_of,
    ratings_of,
)

TURN = Target("c", 0)


def test_labels_of_one_author_are_found_among_others() -> None:
    annotations = [
        Annotation(Kind.INTENT, TURN, ["Search"]),
        Annotation(Kind.INTENT, TURN, ["Planning", "Others"], author="human:a"),
    ]
    assert intents_of(annotations) == ("Search",)
    assert intents_of(annotations, "human:a") == ("Planning", "Others")
    assert intents_of(annotations, "human:b") == ()
    assert find(annotations, Kind.RATING) is None


def test_a_verdict_may_be_cannot_tell() -> None:
    def verdict(value: object) -> Hallucination | None:
        return hallucination_of([Annotation(Kind.HALLUCINATION, TURN, value)])

    assert verdict({"hallucination": True, "memo": "wrong"}) == Hallucination(True, "wrong")
    assert verdict({"hallucination": None}) == Hallucination(None)
    assert verdict("no object") is None
    assert hallucination_of([]) is None


def test_ratings_that_are_no_numbers_are_left_out() -> None:
    rating = Annotation(Kind.RATING, Target("c"), {"Diversity": 2, "Detail Level": "high"})
    assert ratings_of([rating]) == {"Diversity": 2}
    assert ratings_of([]) == {}


def test_the_seven_metrics_have_two_binary_ones() -> None:
    assert [metric.name for metric in METRICS if metric.most == 1] == [
        "Additional Preferences",
        "Memorization",
    ]
    assert len(METRICS) == 7
