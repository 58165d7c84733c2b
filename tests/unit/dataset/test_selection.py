"""Selections leave out with a reason; one language gives its texts everywhere."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tests.unit.analysis.made_up import conversation

from engine.dataset.selection import Selection, metric_named
from engine.schema.annotation import Annotation, Kind, Target


def test_each_reason_is_counted() -> None:
    everything = [
        conversation("Hi", "Ho", rating={"Diversity": 2}),
        conversation("Hi", "Ho", rating={"Diversity": 1}),
        conversation("Hi", "Ho"),
        conversation("Hi", "Ho", task="gifts", rating={"Diversity": 2}),
        conversation("Hi", "Ho", rating={"Diversity": 2}, dropped_because=("rule",)),
    ]
    left_out: Counter[str] = Counter()
    chosen = Selection(tasks=("travel planning",), min_ratings={metric_named(" diversity"): 2})
    assert list(chosen.take(everything, left_out)) == everything[:1]
    assert left_out == {"rated lower, or not rated": 2, "another task": 1, "dropped by validation": 1}
    assert len(list(Selection(only_kept=False).take(everything, left_out))) == 5


def test_one_language_takes_translations_of_annotators_too() -> None:
    made = replace(conversation("Hi", "Ho"), language="en", source_bytes=b"{}")
    said = [
        Annotation(Kind.TRANSLATION, Target("c", at), {"language": "zh", "text": text}, "judge:x")
        for at, text in enumerate(("你好", "嗨"))
    ]
    whole = {"language": "zh", "scenario": "", "profile": "一个用户"}
    made = made.with_annotations((*said, Annotation(Kind.TRANSLATION, Target("c"), whole, "judge:x")))
    left_out: Counter[str] = Counter()
    (given,) = Selection(language="zh").take([made], left_out)
    assert [turn.content for turn in given.turns] == ["你好", "嗨"]
    assert (given.language, given.profile.text, given.source_bytes) == ("zh", "一个用户", b"")
    assert all(each.kind != Kind.TRANSLATION for turn in given.turns for each in turn.annotations)
    (both,) = Selection().take([made], left_out)
    assert both.profile.translations == {"zh": "一个用户"}
    assert list(Selection(language="zh").take([conversation("Hi", "Ho")], left_out)) == []
    assert left_out == {"no text in zh": 1}
