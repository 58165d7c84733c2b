from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.scenarios.task_file import TaskFile, read_task_file

GOOD = """\
name: choosing a walk
title: {en: choosing a walk, zh: 选散步路线}
merge_aspect: travel_habits
variables:
  place:
    - {id: park, text: {en: in the park, zh: 在公园}}
    - {id: hill, text: {en: on the hill, zh: 在山上}, forms: {risk: {en: steep, zh: 陡}}}
  length:
    - {id: "1", text: {en: one hour, zh: 一小时}}
    - {id: "2", text: {en: two hours, zh: 两小时}}
    - {id: "3", text: {en: three hours, zh: 三小时}}
requirements:
  - {id: route, text: {en: the route, zh: 路线}}
scenarios: [0, 5]
"""


def _read(folder: Path, text: str | bytes, language: str = "en") -> TaskFile:
    path = folder / "task.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_task_file(path, language)


def test_only_the_asked_language_is_kept(tmp_path: Path) -> None:
    file = _read(tmp_path, GOOD, "zh")
    assert file.title == "选散步路线"
    assert file.name == "choosing a walk"
    assert file.variables["place"][1].forms == {"risk": "陡"}
    assert file == _read(tmp_path, GOOD.replace("the route", "which way to go"), "zh")


def test_a_task_may_lack_the_language_that_is_not_asked_for(tmp_path: Path) -> None:
    text = "\n".join(line for line in GOOD.splitlines()).replace(", zh: 在公园", "")
    assert _read(tmp_path, text).variables["place"][0].text == "in the park"
    with pytest.raises(BadInput, match=r"task\.yaml:6: variables\.place\.0\.text: .*'zh' is missing"):
        _read(tmp_path, text, "zh")


def test_numbers_are_positions_in_the_product_last_variable_fastest(tmp_path: Path) -> None:
    file = _read(tmp_path, GOOD)
    expected = list(itertools.product(["park", "hill"], ["1", "2", "3"]))
    assert file.n_combinations == len(expected)
    for number, ids in enumerate(expected):
        assert tuple(option.id for option in file.combination(number).values()) == ids
    for outside in (-1, 6):
        with pytest.raises(IndexError):
            file.combination(outside)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("name:", "nam:", r"name: Field required"),
        ("scenarios: [0, 5]", "scenarios: [0, 5]\nextra: 1", r":15: extra: Extra inputs"),
        ("scenarios: [0, 5]", "scenarios: [0, 6]", r"number 6 does not exist.*numbered 0 to 5"),
        ("scenarios: [0, 5]", "scenarios: [0, 0]", r"scenario numbers must differ"),
        ("scenarios: [0, 5]", "scenarios: [true]", r":14: scenarios\.0: "),
        ("scenarios: [0, 5]", "scenarios: []", r":14: scenarios: "),
        ("id: hill", "id: park", r"option ids of 'place' must differ"),
        ('id: "1"', "id: 1", r":9: variables\.length\.0\.id: .*string"),
        ("{en: in the park, zh: 在公园}", "in the park", r":6: .*one wording per language"),
        ("zh: 在公园", "fr: au parc", r":6: .*'fr' is no language"),
        ("en: in the park", "en: ''", r":6: variables\.place\.0\.text: "),
        ("travel_habits", "travel_habit", r":3: merge_aspect: .*is no aspect.*travel_habits"),
        ("  length:", "  place:", r":8: the key 'place' is there twice"),
        ("  place:", "  requirements:", r"cannot be called 'requirements'"),
        ("  place:", "  Place:", r":5: variables\.Place"),
        ("  place:", "  [a]: 1\n  place:", r":5: found unhashable key"),
        ("name:", "name: [", r"task\.yaml:\d+: "),
        ("name:", "name: \x00", r"is not YAML"),
    ],
)
def test_a_fault_names_file_line_and_fault(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in GOOD
    with pytest.raises(BadInput, match=message) as caught:
        _read(tmp_path, GOOD.replace(before, after, 1))
    assert str(tmp_path / "task.yaml") in str(caught.value)


@pytest.mark.parametrize("text", ["", "- 1\n", "7\n", b"name: \xff\n"])
def test_what_is_no_task_at_all_is_refused(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(BadInput, match=r"task\.yaml"):
        _read(tmp_path, text)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is missing"):
        read_task_file(tmp_path / "task.yaml", "en")
