"""Table 2 and Figure 6 on conversations that are rated, partly rated and not rated."""

from __future__ import annotations

from tests.unit.analysis.made_up import conversation

from engine.analysis.definitions import MERGED_TRAVEL, PAPER, Definitions
from engine.analysis.ratings import Ratings


def counted() -> Ratings:
    ratings = Ratings()
    ratings.add(conversation("a", "b", rating={"Diversity": 2, "Memorization": 1}))
    ratings.add(conversation("a", "b", rating={"Diversity": 1}, task="new travel planning"))
    ratings.add(conversation("a", "b", rating={"Kindness": 4, "Memorization": 0}, task="recipe planning"))
    ratings.add(conversation("a", "b"))
    return ratings


def test_both_travel_tasks_are_one_in_the_papers_table() -> None:
    assert counted().table2(PAPER) == {
        "recipe planning": {"Memorization": 0.0, "Kindness": 4.0},
        MERGED_TRAVEL: {"Memorization": 1.0, "Diversity": 1.5},
    }
    assert set(counted().table2(Definitions())) == {
        "new travel planning",
        "recipe planning",
        "travel planning",
    }


def test_scores_are_counted_over_all_tasks() -> None:
    assert counted().figure6() == {
        "Memorization": {0: 1, 1: 1},
        "Diversity": {1: 1, 2: 1},
        "Kindness": {4: 1},
    }


def test_only_the_authors_ratings_count_that_is_asked_for() -> None:
    ratings = Ratings("judge:m")
    ratings.add(conversation("a", "b", rating={"Diversity": 2}))
    assert ratings.figure6() == {}
