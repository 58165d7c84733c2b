"""All statistics in one pass: raw and kept, and a document that JSON can hold."""

from __future__ import annotations

from typing import Any

import orjson
from tests.unit.analysis.made_up import conversation, words

from engine.analysis.definitions import PAPER
from engine.analysis.statistics import Statistics


def test_dropped_conversations_are_in_the_raw_row_alone() -> None:
    statistics = Statistics(words, PAPER)
    statistics.add(conversation("a", "b", rating={"Diversity": 2}, intents=["Search"], verdicts=[True]))
    statistics.add(conversation("a", "b", "c", "d", rating={"Diversity": 0}, dropped_because=("loop",)))
    document: dict[str, Any] = orjson.loads(orjson.dumps(statistics.as_dict()))
    assert document["table1"]["raw"]["conversations"] == 2
    assert document["table1"]["raw"]["mean_utterances"] == 3
    assert document["table1"]["kept"]["mean_utterances"] == 2
    assert document["rounds"] == {"raw": {"1": 1, "2": 1}, "kept": {"1": 1}}
    assert document["figure6"] == {"Diversity": {"2": 1}}
    assert document["table3"]["totals"] == {"Search": 1}
    assert document["hallucinated_replies"]["hallucinated"] == 1
    assert document["distinct_profiles"] == 1
    assert document["construction"] == {"unknown": 2}
    assert document["definitions"]["averages_without"] == ["new travel planning"]


def test_counting_twice_changes_nothing_between() -> None:
    statistics = Statistics(words)
    statistics.add(conversation("a", "b"))
    assert statistics.as_dict() == statistics.as_dict()
