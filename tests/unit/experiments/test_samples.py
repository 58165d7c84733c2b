"""One sample per user utterance with one intent, in the order that decides the paper's split."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.doubles.labelled_conversations import labelled, user_turn

from engine.errors import BadInput
from engine.experiments.samples import collect_samples, natural_key
from engine.schema.annotation import PAPER_INTENTS, Annotation, Kind, Target


def test_order_is_task_number_turn_whatever_the_order_of_the_file() -> None:
    conversations = labelled(12)
    moved = replace(conversations[3], task="a task before")
    data = collect_samples([*reversed(conversations[:3]), *conversations[4:], moved])
    names = list(dict.fromkeys(sample.conversation_id for sample in data.samples))
    assert names == ["gifts-3", *(f"gifts-{n}" for n in range(12) if n != 3)]
    assert [sample.turn for sample in data.samples[:6]] == [0, 1, 2, 0, 1, 2]
    assert data.digest == collect_samples([moved, *conversations[:3], *conversations[4:]]).digest


def test_a_number_is_read_as_a_number() -> None:
    assert sorted(["b-2", "b-10", "a-3", "b", "7"], key=natural_key) == ["7", "a-3", "b", "b-2", "b-10"]


def test_the_assistants_turn_before_belongs_to_a_sample() -> None:
    data = collect_samples(labelled(12))
    assert data.samples[0].previous == ""
    assert data.samples[1].previous == f"An answer about {data.samples[0].intent}."


def test_profiles_are_told_apart_by_text_since_ids_share_texts() -> None:
    first = labelled(20, profiles=20)
    assert len({sample.profile for sample in collect_samples(first).samples}) == 10


def test_utterances_without_one_intent_are_left_out_and_counted_but_keep_their_turn() -> None:
    conversations = labelled(12)
    turns = list(conversations[0].turns)
    turns[0] = user_turn("gifts-0", 0, "both", "Search", "Planning")
    turns[2] = user_turn("gifts-0", 2, "nothing", "")
    dropped = replace(conversations[1], dropped_because=("too_short",))
    data = collect_samples([replace(conversations[0], turns=tuple(turns)), dropped, *conversations[2:]])
    assert data.left_out == {
        "with several intents": 1, "without an intent": 1, "in a dropped conversation": 3,
    }  # fmt: skip
    assert data.samples[0].turn == 2
    assert len(data.samples) == 31


def test_intents_of_one_author_can_be_asked_for() -> None:
    def judged(turn: int, name: str) -> Annotation:
        return Annotation(Kind.INTENT, Target(name, turn), ["Search"], author="judge:j")

    conversations = [
        each.with_annotations((judged(0, each.conversation_id),) if n else ())
        for n, each in enumerate(labelled(12))
    ]
    with pytest.raises(BadInput, match=r"11 user utterances with one intent by judge:j"):
        collect_samples(conversations, "judge:j")
    assert len(collect_samples(conversations).samples) == 36


def test_labels_are_the_papers_where_they_fit_else_those_that_occur() -> None:
    conversations = labelled(12)
    assert collect_samples(conversations).labels == PAPER_INTENTS.labels
    turns = (user_turn("gifts-0", 0, "text", "Chit-chat"), *conversations[0].turns[1:])
    data = collect_samples([replace(conversations[0], turns=turns), *conversations[1:]])
    assert data.labels == ("Chit-chat", "Others", "Planning", "Recommendation", "Search")


def test_digest_changes_with_text_label_and_context() -> None:
    conversations = labelled(12)
    before = collect_samples(conversations).digest
    first = conversations[0]
    for turns in (
        (user_turn("gifts-0", 0, "other", "Search"), *first.turns[1:]),
        (first.turns[0], replace(first.turns[1], content="Another answer."), *first.turns[2:]),
    ):
        assert collect_samples([replace(first, turns=turns), *conversations[1:]]).digest != before
