"""Splits are 8:1:1, repeatable, and leak nothing where they say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sklearn.model_selection import train_test_split
from tests.doubles.labelled_conversations import labelled

from engine.errors import BadInput
from engine.experiments.samples import IntentData, Sample, collect_samples
from engine.experiments.splits import SplitKind, make_split, read_split_file, table3, take, with_fewer_tests


@pytest.fixture(scope="module")
def data() -> IntentData:
    return collect_samples(labelled(100, profiles=40))


def test_papers_recipe_is_scikit_learns_two_stages_over_positions(data: IntentData) -> None:
    split = make_split(data, SplitKind.UTTERANCE, 42)
    train, rest = train_test_split(range(300), test_size=0.2, random_state=42)
    validation, test = train_test_split(rest, test_size=0.5, random_state=42)
    assert [list(part) for part in split.parts().values()] == [train, validation, test]
    assert [len(part) for part in split.parts().values()] == [240, 30, 30]


@pytest.mark.parametrize(
    ("kind", "group"),
    [
        (SplitKind.CONVERSATION, lambda sample: sample.conversation_id),
        (SplitKind.PROFILE, lambda sample: sample.profile),
    ],
)
def test_no_group_lies_in_two_parts(
    data: IntentData, kind: SplitKind, group: Callable[[Sample], str]
) -> None:
    for seed in range(5):
        split = make_split(data, kind, seed)
        parts = [{group(data.samples[i]) for i in part} for part in split.parts().values()]
        assert sum(map(len, parts)) == len(set().union(*parts))
        assert sorted(i for part in split.parts().values() for i in part) == list(range(300))


def test_split_is_named_by_its_parts(data: IntentData) -> None:
    first, again, other = (make_split(data, SplitKind.UTTERANCE, seed) for seed in (1, 1, 2))
    assert first.digest == again.digest != other.digest


def test_fewer_tests_are_the_first_of_more(data: IntentData) -> None:
    split = make_split(data, SplitKind.UTTERANCE, 42)
    few, more = (with_fewer_tests(split, most).test for most in (5, 12))
    assert more[:5] == few != split.test[:5]
    assert set(with_fewer_tests(split, 1000).test) == set(split.test)


def test_table_3_counts_every_intent_of_each_part(data: IntentData) -> None:
    split = make_split(data, SplitKind.UTTERANCE, 42)
    rows = dict(table3(data, split))
    assert rows["all"]["total"] == 300
    for label in data.labels:
        assert sum(rows[part][label] for part in ("train", "validation", "test")) == rows["all"][label]
    assert take(data, split).test == tuple(data.samples[i] for i in split.test)


def write_split(path: Path, split: object) -> Path:
    path.write_text(json.dumps({"note": "n", "split": split}), "utf-8")
    return path


def test_a_split_file_decides_by_turn(data: IntentData, tmp_path: Path) -> None:
    path = write_split(tmp_path / "split.json", {f"gifts-{n}": "tve" for n in range(120)})
    split = read_split_file(data, path)
    assert {data.samples[i].turn for i in split.validation} == {1}
    assert [len(part) for part in split.parts().values()] == [100, 100, 100]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({f"gifts-{n}": "tve" for n in range(99)}, r"turn 1 of gifts-99 \(None"),
        ({f"gifts-{n}": "tv" for n in range(100)}, r"turn 3 of gifts-0 \(None"),
        ({f"gifts-{n}": "tvx" for n in range(100)}, r"turn 3 of gifts-0 \('x'"),
        ({f"gifts-{n}": "ttt" for n in range(100)}, "validation and test would be empty"),
        ([1], "not a split file"),
    ],
)
def test_an_unusable_split_file_is_refused(
    data: IntentData, tmp_path: Path, split: object, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        read_split_file(data, write_split(tmp_path / "split.json", split))


def test_a_split_file_that_is_absent_is_refused(data: IntentData, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_split_file(data, tmp_path / "none.json")


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(BadInput, match="at least 10"):
        make_split(collect_samples(labelled(60, profiles=10)), SplitKind.PROFILE, 0)
