"""Garbage in cycles is looked for rarely while a run is at work, and as before afterwards."""

from __future__ import annotations

import gc
import weakref

import pytest

from engine.runner.collecting import THRESHOLDS, rare_collections


class Knot:
    """Holds itself."""

    def __init__(self) -> None:
        self.itself = self


def test_thresholds_hold_within_the_block_alone() -> None:
    before = gc.get_threshold()
    with rare_collections():
        assert gc.get_threshold() == THRESHOLDS
        assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_an_error_ends_it_too() -> None:
    before = gc.get_threshold()
    with pytest.raises(RuntimeError, match="stop"), rare_collections():
        raise RuntimeError("stop")
    assert gc.get_threshold() == before


def test_cycles_are_still_found() -> None:
    with rare_collections():
        knot = weakref.ref(Knot())
        kept = [[] for _ in range(THRESHOLDS[0] + 1000)]  # type: ignore[var-annotated]
        assert knot() is None
    assert kept
