"""Hallucinated replies: no verdict, "cannot tell" and "no" are three things."""

from __future__ import annotations

from tests.unit.analysis.made_up import conversation

from engine.analysis.hallucinations import Hallucinations


def test_verdicts_are_counted_by_what_they_say() -> None:
    found = Hallucinations()
    found.add(conversation("a", "b", "c", "d", "e", "f", verdicts=[True, None, True]))
    found.add(conversation("a", "b", verdicts=[False], task="t"))
    found.add(conversation("a", "b", "c", "d"))
    assert (found.replies, found.judged, found.cannot_tell, found.hallucinated) == (6, 4, 1, 2)
    assert found.conversations_with_any == 1
    assert found.by_task == {"travel planning": 2}
