"""Annotation files: what people write comes in, what is there goes out, and mistakes are named by line."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.doubles.talks import talk

from engine.annotation.files import (
    check_targets,
    read_annotation_file,
    read_value,
    write_annotation_file,
)
from engine.annotation.people import people_of, put_people
from engine.errors import BadInput
from engine.schema.annotation import Annotation, Kind, Target

SAID = [
    Annotation(Kind.INTENT, Target("t-1", 0), ["Search", "Others"], "human:ada"),
    Annotation(
        Kind.HALLUCINATION, Target("t-1", 1), {"hallucination": True, "memo": 'a "7"-day, week\n'}, "human:bo"
    ),
    Annotation(Kind.SATISFACTION, Target("t-1", 2), 4, "human:ada", "five@1", {"seconds": 3}),
    Annotation(Kind.RATING, Target("t-1"), {"Memorization": 1}, "human:ada"),
    Annotation(Kind.PREFERENCE_SUMMARY, Target("t-1"), ["安静", "art"], "human:ada"),
]
HEAD = "kind,conversation,turn,author,value\n"


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_what_goes_out_comes_in_again(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    text = io.StringIO(newline="")
    assert write_annotation_file(path, text, SAID) == len(SAID)
    path.write_bytes(text.getvalue().encode())
    assert [annotation for _, annotation in read_annotation_file(path, None)] == SAID


def test_an_id_is_no_formula_for_a_spreadsheet_and_long_texts_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    long = {"language": "zh", "content": "长" * 200_000}
    said = [
        Annotation(Kind.INTENT, Target("=HYPERLINK(1)", 0), ["=1"], "human:ada", "@v1"),
        Annotation(Kind.TRANSLATION, Target("t-1", 0), long, "human:ada"),
    ]
    text = io.StringIO(newline="")
    write_annotation_file(path, text, said)
    path.write_bytes(text.getvalue().encode())
    cells = [cell for row in csv.reader(io.StringIO(text.getvalue(), newline="")) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]
    assert [annotation for _, annotation in read_annotation_file(path, None)] == said


def test_short_forms_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "\ufeff"
        + HEAD
        + "intent,t-1,0,,推荐|规划\nhallucination,t-1,1,human:bo,false\nsatisfaction,t-1,2,,5\n"
        'rating,t-1,,,"{""Diversity"": 2}"\n',
        "utf-8",
    )
    found = [annotation for _, annotation in read_annotation_file(path, "ada")]
    assert [each.value for each in found] == [
        ["推荐", "规划"], {"hallucination": False, "memo": ""}, 5, {"Diversity": 2},
    ]  # fmt: skip
    assert [each.author for each in found] == ["human:ada", "human:bo", "human:ada", "human:ada"]


MISTAKES = {
    "kind": ("mood,t-1,0,ada,good", "'mood' is no kind"),
    "no conversation": ("intent,,0,ada,Search", "`conversation` is empty"),
    "no turn": ("intent,t-1,,ada,Search", "is about a turn"),
    "a turn too many": ("rating,t-1,0,ada,{}", "is about the whole conversation"),
    "turn": ("intent,t-1,first,ada,Search", "counts turns from 0"),
    "nobody": ("intent,t-1,0,,Search", "names no author"),
    "a judge": ("intent,t-1,0,judge:x,Search", "no person's name"),
    "range": ("satisfaction,t-1,0,ada,6", "whole number from 1 to 5"),
    "measure": ('rating,t-1,,ada,"{""Fun"": 1}"', "'Fun' is no measure"),
    "score": ('rating,t-1,,ada,"{""Diversity"": 3}"', "from 0 to 2"),
    "verdict": ("hallucination,t-1,1,ada,perhaps", "neither true nor false"),
}


@pytest.mark.parametrize("name", list(MISTAKES))
def test_a_mistake_is_named_by_its_line(tmp_path: Path, name: str) -> None:
    row, words = MISTAKES[name]
    path = tmp_path / "a.csv"
    path.write_text(HEAD + "intent,t-1,0,ada,Search\n" + row + "\n", "utf-8")
    with pytest.raises(BadInput, match="line 3: ") as caught:
        read_annotation_file(path, None)
    assert words in str(caught.value)
    assert "Nothing was imported" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "kind,turn\n", "the column 'conversation' is missing"),
        ("a.csv", HEAD, "holds no annotation"),
        ("a.jsonl", "{", "is no JSON"),
        ("a.jsonl", "[]", "is no JSON object"),
        ("a.jsonl", "\n\n", "holds no annotation"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    with pytest.raises(BadInput, match=words):
        read_annotation_file(path, "ada")


@given(
    st.sampled_from(list(Kind)),
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
        max_leaves=5,
    ),
)
def test_any_value_is_read_or_refused_in_words(kind: Kind, value: object) -> None:
    with suppress(ValueError):
        read_value(kind, value)


@pytest.mark.parametrize(
    ("target", "kind", "words"),
    [
        (Target("t-2", 0), Kind.INTENT, "no conversation 't-2'"),
        (Target("t-1", 9), Kind.INTENT, "there is no turn 9"),
        (Target("t-1", 1), Kind.INTENT, "is not the user's"),
        (Target("t-1", 0), Kind.HALLUCINATION, "is not the assistant's"),
    ],
)
def test_what_is_about_nothing_is_refused(target: Target, kind: Kind, words: str) -> None:
    rows = [(7, Annotation(kind, target, ["x"], "human:ada"))]
    with pytest.raises(BadInput, match="line 7") as caught:
        check_targets(Path("a.csv"), rows, [talk("a", "b", "c", "d")])
    assert words in str(caught.value)


def test_a_later_say_takes_the_place_of_the_earlier(tmp_path: Path) -> None:
    assert list(people_of(tmp_path)) == []
    assert put_people(tmp_path, SAID, said_at=1.0) == len(SAID)
    changed = Annotation(Kind.INTENT, Target("t-1", 0), ["Planning"], "human:ada")
    put_people(tmp_path, [changed], said_at=2.0)
    assert list(people_of(tmp_path, "t-1")) == [*SAID[1:], changed]
    assert list(people_of(tmp_path, "t-2")) == []
    assert (tmp_path / "annotations.sqlite").stat().st_mode & 0o077 == 0
