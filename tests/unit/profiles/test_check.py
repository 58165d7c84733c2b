"""Checks: contradictions by words, coverage by categories, associations by Cramér's V."""

from __future__ import annotations

from math import log2
from pathlib import Path

import pytest

from engine.profiles.check import check_pool
from engine.profiles.contradictions import load_rules
from engine.profiles.coverage import Categories, cramers_v, distance, entropy, load_categories
from engine.profiles.pool_file import Fault, read_pool
from engine.schema.profile import Profile

ROOT = Path(__file__).parents[3]
RULES = load_rules(None, None)
CATEGORIES = load_categories(None, None)


@pytest.mark.parametrize(
    ("aspects", "rule"),
    [
        ({"dining_preferences": "Strict vegan; loves a rare steak"}, "vegan and eats animal products"),
        ({"dining_preferences": "Vegan who enjoys cheese"}, "vegan and eats animal products"),
        ({"dining_preferences": "Vegan; misses cheese, avoids fish and meat"}, None),
        ({"dining_preferences": "Vegan; fond of tofu steak and cashew cheese"}, None),
        ({"dining_preferences": "Not vegan; loves steak"}, None),
        ({"dining_preferences": "严格素食；最爱牛排"}, "vegan and eats animal products"),
        ({"dining_preferences": "Vegetarian; Sunday roast beef"}, "vegetarian and eats meat"),
        ({"dining_preferences": "Vegetarian on temple days, loves chicken otherwise"}, None),
        ({"dining_preferences": "Does not drink alcohol; collects red wine"}, "drinks no alcohol and drinks"),
        ({"dining_preferences": "Allergic to nuts; loves nuts in salads"}, "allergic to what is liked"),
        ({"dining_preferences": "Allergic to nuts; loves milk"}, None),
        ({"travel_habits": "Will not fly; flies business twice a year"}, "never flies and flies"),
        ({"other_aspects": "Lives alone; lives with his wife"}, "lives alone and with somebody"),
        ({"other_aspects": "Lives alone with two cats"}, None),
        ({"other_aspects": "Has no children; visits his daughters"}, "no children and children"),
        ({"occupation": "Retired judge", "age": "29"}, "retired in youth"),
        ({"occupation": "Retired gymnast", "age": "29"}, None),
    ],
)
def test_contradictions_are_found_and_denials_are_heard(aspects: dict[str, str], rule: str | None) -> None:
    assert [found.rule for found in RULES.broken_by(aspects)] == ([] if rule is None else [rule])


def test_the_shipped_pools_contradict_themselves_nowhere() -> None:
    for name in ("pool.en.jsonl", "pool.zh.jsonl"):
        found = check_pool(read_pool(ROOT / "profiles" / name), CATEGORIES, RULES)
        assert (found.faults.count, found.duplicates.count, found.near.count) == (0, 0, 0)
        assert found.contradictions.first == []


def test_entropy_and_distance() -> None:
    assert entropy([5, 5, 5, 5]) == pytest.approx(2.0)
    assert entropy([7, 0]) == 0.0
    assert entropy([1, 2]) == pytest.approx(log2(3) - 2 / 3)
    assert distance({"a": 1.0}, {"b": 1.0}) == 1.0
    assert distance({"a": 0.5, "b": 0.5}, {"a": 1.0}) == 0.5


def test_cramers_v_is_one_of_a_rule_and_zero_of_chance() -> None:
    v, p = cramers_v([[50, 0], [0, 50]])
    assert v == pytest.approx(1.0, abs=0.02)
    assert p < 1e-12
    v, p = cramers_v([[25, 25], [25, 25]])
    assert (v, p > 0.5) == (0.0, True)
    assert cramers_v([[3, 4], [0, 0]]) == (0.0, 1.0)


def test_cramers_v_agrees_with_scipy_on_p() -> None:
    stats = pytest.importorskip("scipy.stats")
    table = [[30, 12, 9], [14, 25, 11]]
    assert cramers_v(table)[1] == pytest.approx(stats.chi2_contingency(table).pvalue, rel=0.1)


def test_an_association_is_found_where_it_was_planted() -> None:
    categories = Categories({"dining": {"meat": "meat", "fish": "fish"}})
    pool = [
        Profile(f"p{i}", {"gender": "Female" if i % 2 else "Male", "age": str(20 + i % 50),
                          "dining": f"{'meat' if i % 2 else 'fish'} n{i}"})
        for i in range(200)
    ]  # fmt: skip
    strongest = check_pool(pool, categories, RULES).tally.associations()[0]
    assert (strongest.demographic, strongest.aspect) == ("gender", "dining")
    assert strongest.v > 0.95


def test_every_fault_of_a_file_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    good = (ROOT / "profiles" / "pool.en.jsonl").read_text().splitlines()
    lines = [good[0], "{", "[]", good[0], good[1].replace('"id":"p002"', '"id":"a b"'),
             good[2].replace('"gender"', '"gendre"'), good[3].replace('"Female"', '""').replace("Male", ""),
             good[4]]  # fmt: skip
    path.write_text("\n".join(lines) + "\n")
    read = list(read_pool(path))
    assert [each.profile_id for each in read if isinstance(each, Profile)] == ["p001", "p005"]
    assert [each.line for each in read if isinstance(each, Fault)] == [2, 3, 4, 5, 6, 7]
