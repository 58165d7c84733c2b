"""Two datasets side by side: what differs is found, what does not is not, languages and gaps are told."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tests.unit.analysis.made_up import conversation, words

from engine.analysis.compare import Comparison, cliffs_delta, common_language, compare
from engine.analysis.compare_sections import compare_sections
from engine.analysis.draws import Sample, UserDraws, draw_sample
from engine.analysis.embedding import compare_spread
from engine.analysis.intent_shares import compare_intents
from engine.analysis.likeness import auc, floor, likeness
from engine.analysis.measures import Reading, measure
from engine.analysis.sections import markdown
from engine.schema.annotation import HUMAN_INTENTS
from engine.schema.dataset import Construction, Conversation, ProfileText

LLM = ["I would be delighted to explore that further with you", "That sounds absolutely wonderful, thank you"]
PERSON = ["cheap hotel", "no, too far", "ok and trains", "what else"]
READING = Reading(words)


def made(
    name: str, said: list[str], n: int, seed: int, *, person: bool = False, language: str = "en"
) -> Sample:
    rng = Random(seed)
    found = []
    for i in range(n):
        turns = [
            text
            for _ in range(rng.choice([2, 3]))
            for text in (
                f"{rng.choice(said)} {rng.choice(said)} {rng.random():.2f}",
                "reply with some words here",
            )
        ]
        each = conversation(
            *turns, conversation_id=f"{name}{i}", intents=["Planning", "Search"], rating={"Diversity": i % 3}
        )
        found.append(
            replace(
                each,
                language=language,
                person=f"u{i % 12}" if person else "",
                profile=ProfileText()
                if person
                else ProfileText(profile_id=f"p{i % 12}", text=f"profile {i % 12}"),
                construction=Construction.HUMAN_LLM if person else Construction.LLM_LLM,
            )
        )
    return draw_sample(name, found, n)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare(made("llm", LLM, 60, 1), made("people", PERSON, 60, 2, person=True), READING, draws=200)


def test_lengths_differ_with_interval_and_effect(comparison: Comparison) -> None:
    row = next(row for row in comparison.rows if row.measure == "tokens of a user turn")
    assert row.high is not None
    assert row.high < 0
    assert row.cliffs_delta == -1
    rounds = next(row for row in comparison.rows if row.measure == "rounds")
    assert rounds.low is not None
    assert rounds.high is not None
    assert rounds.low < 0 < rounds.high


def test_people_are_told_from_models_and_halves_of_people_are_not(comparison: Comparison) -> None:
    assert [each.reads for each in comparison.likeness] == ["wording", "lengths and manners"]
    assert all(each.auc > 0.95 for each in comparison.likeness)
    assert comparison.second.has_people
    assert comparison.likeness_floor is not None
    assert comparison.likeness_floor.name == "people"
    assert 0.25 < comparison.likeness_floor.auc < 0.7


def test_distances_stand_beside_those_of_halves(comparison: Comparison) -> None:
    found = {each.what: each for each in comparison.distances}
    tokens = found["tokens of a user turn"]
    assert all(each is not None and each < tokens.wasserstein for each in tokens.floors)
    assert tokens.kolmogorov_smirnov == 1


def test_the_same_comparison_twice_is_the_same(comparison: Comparison) -> None:
    again = compare(made("llm", LLM, 60, 1), made("people", PERSON, 60, 2, person=True), READING, draws=200)
    assert again == comparison


def test_sections_make_markdown_that_names_both(comparison: Comparison) -> None:
    sections = compare_sections(comparison)
    titles = [section.title for section in sections]
    assert {"Measures", "Intents", "Distances", "Human-likeness", "By task"} <= set(titles)
    assert all(len(row) == len(section.columns) for section in sections for row in section.rows)
    page = markdown("two | sets", sections)
    assert "# two \\| sets" in page
    assert "| llm | people |" in page


def test_the_same_users_under_two_names_are_not_told_apart() -> None:
    one, other = made("x", PERSON, 60, 1), made("y", PERSON, 60, 2)
    found = likeness(one, other, READING)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.55
    assert found.high > 0.35


def test_too_few_users_give_no_likeness() -> None:
    lone = Sample("lone", made("x", PERSON, 1, 1).conversations, 1)
    assert likeness(lone, made("y", LLM, 10, 2), READING) is None
    assert floor(lone, READING) is None


def test_auc_equals_that_of_the_library() -> None:
    rng = np.random.default_rng(1)
    labels, scores = rng.integers(0, 2, 80), rng.integers(0, 9, 80)
    weights = rng.integers(0, 3, (2, 80))
    found = auc(labels, scores, weights)
    for i in range(2):
        assert found[i] == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights[i]))


def test_cliffs_delta_by_hand() -> None:
    assert cliffs_delta([1, 2], [3, 4]) == 1
    assert cliffs_delta([1, 2], [1, 2]) == 0
    assert cliffs_delta([2, 2], [1, 2]) == -0.5


def translated(sample: Sample, language: str) -> Sample:
    changed = []
    for each in sample.conversations:
        turns = tuple(replace(turn, translations={language: "翻译"}) for turn in each.turns)
        changed.append(replace(each, turns=turns))
    return Sample(sample.name, tuple(changed), sample.of)


def test_texts_are_read_in_the_language_that_both_have() -> None:
    english, chinese = made("e", LLM, 4, 1), made("c", PERSON, 4, 2, language="zh")
    assert common_language(english, english) is None
    assert common_language(english, chinese) is None
    assert common_language(translated(english, "zh"), chinese) == "zh"
    assert common_language(chinese, translated(english, "zh")) == "zh"
    turn = translated(english, "zh").conversations[0].turns[0]
    assert Reading(words, "zh").text(turn) == "翻译"
    assert Reading(words).text(turn) != "翻译"


def test_intents_of_different_label_sets_are_read_in_three() -> None:
    own = [
        conversation("u", "a", conversation_id=str(i), intents=["Search & Recommendation"]) for i in range(4)
    ]
    other = [
        replace(
            conversation("u", "a", conversation_id=str(i), intents=[["推荐", "规划"]]),
            label_sets={"intent": HUMAN_INTENTS},
        )
        for i in range(4)
    ]
    draws = UserDraws(["a", "b", "c", "d"]), UserDraws(["a", "b", "c", "d"])
    found = compare_intents(own, other, draws)
    assert found is not None
    assert found.is_coarse
    assert {row.label: (row.first, row.second) for row in found.rows} == {
        "recommendation": (1.0, 0.5),
        "planning": (0.0, 0.5),
    }
    assert 0 < found.distance < 1
    same = compare_intents(own, own, draws)
    assert same is not None
    assert (same.is_coarse, same.distance) == (False, 0)
    assert compare_intents(own, [conversation("u", "a")], (draws[0], UserDraws(["a"]))) is None


def test_embeddings_of_the_same_text_have_no_spread() -> None:
    def embed(texts: object) -> object:
        return np.eye(len(list(texts)))  # type: ignore[call-overload]

    found = compare_spread(["a", "b", "c"], ["d", "e"], embed)
    assert found is not None
    assert (found.texts, found.first, found.second) == (2, 1.0, 1.0)
    same = compare_spread(["a", "b"], ["c", "d"], lambda texts: np.ones((len(texts), 3)))
    assert same is not None
    assert same.first == pytest.approx(0)
    assert compare_spread(["a"], ["b", "c"], embed) is None


def test_a_conversation_without_turns_or_labels_measures_nothing() -> None:
    found = measure(conversation(), READING)
    assert found["rounds"] == 0
    assert all(value is None for name, value in found.items() if name != "rounds")


def test_measures_by_hand() -> None:
    each: Conversation = conversation(
        "Please recommend a museum.", "The old museum is near the river.",
        "Is the river far? I don't like that.", "No.",
        verdicts=[True, None],
    )  # fmt: skip
    found = measure(each, READING)
    assert found["tokens of a user turn"] == (4 + 8) / 2
    assert found["user turns that object"] == 0.5
    assert found["courteous user turns"] == 0.5
    assert found["broad questions"] == 0.5
    assert found["words from the last reply"] == 0.5
    assert found["hallucinated replies"] == 1.0
