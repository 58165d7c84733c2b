"""Datasets are replaced whole, or not at all; what is counted beside them stays bounded."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from engine.dataset.build import DatasetCounts, replacing
from engine.dataset.record import ConversationRecord
from engine.errors import CannotWrite, DiskFull, EngineError
from engine.schema.conversation import EndReason
from engine.schema.job import Job


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EIO, CannotWrite)]
)
def test_file_before_is_untouched_where_the_new_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[EngineError]
) -> None:
    path = tmp_path / "conversations.jsonl"
    path.write_text("before")

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind, match=r"conversations\.jsonl"), replacing(path) as file:
        file.write(b"after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def record(number: int, *names: str) -> ConversationRecord:
    return ConversationRecord(
        Job("travel", 0, "p001", number), (), EndReason.GOODBYE, (), (), {"assistant": names}, {}
    )


def test_served_models_are_counted_by_conversation_and_side() -> None:
    counts = DatasetCounts()
    counts.add(record(0, "a"))
    counts.add(record(1, "a"))
    assert not counts.served_model_changed
    counts.add(record(2, "a", "b"))
    assert counts.served_models == {"assistant": {"a": 3, "b": 1}}
    assert counts.served_model_changed


def test_server_that_makes_up_a_name_each_time_does_not_fill_the_memory() -> None:
    counts = DatasetCounts()
    for number in range(100):
        counts.add(record(number, f"m{number}"))
    assert len(counts.served_models["assistant"]) == 21
    assert counts.served_models["assistant"]["(others)"] == 80
