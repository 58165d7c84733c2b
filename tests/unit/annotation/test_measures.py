"""What annotations come to, and the annotators of profile, consistency and goal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.doubles.talks import talk

from engine.annotation.context import Room
from engine.annotation.goal import GoalJudge
from engine.annotation.judgements import CONSISTENCY
from engine.annotation.measures import Measures
from engine.annotation.profile_judges import ProfileJudge, read_vocabulary
from engine.annotation.prompts import load_prompts
from engine.annotation.registry import ANNOTATORS, configured
from engine.annotation.replies import Unusable
from engine.errors import BadInput
from engine.schema.annotation import Annotation, Kind, Target

AUTHOR = "judge:j"
VOCABULARY = {"gender": {"Female": "女性", "Male": "男性"}, "age": {"Old": "老", "Young": "少"}}


def labels(**aspects: list[str]) -> dict[str, list[dict[str, str]]]:
    return {key: [{"en": word, "zh": word} for word in words] for key, words in aspects.items()}


def said(kind: Kind, value: object, turn: int | None = None) -> Annotation:
    return Annotation(kind, Target("t-1", turn), value, AUTHOR)


def test_a_recovered_profile_is_held_against_the_mapped_one() -> None:
    measures = Measures(AUTHOR)
    then = said(Kind.PROFILE_MAPPED, labels(gender=["Female"], age=["Old", "Young"]))
    now = said(Kind.PROFILE_RECOVERED, labels(gender=["Female"], age=["Old"]))
    measures.add(talk("a").with_annotations((then, now)))
    measures.add(talk("a").with_annotations((then,)))
    assert measures.recovery("gender") == (1.0, 1.0, 1.0)
    assert measures.recovery("age") == (1.0, 0.5, 2 / 3)
    assert measures.recovery("personality") == (0.0, 0.0, 0.0)


def test_drift_counts_the_users_turns_and_a_goal_the_rounds() -> None:
    conversation = talk("a", "b", "c", "d", "e").with_annotations((
        said(Kind.CONSISTENCY, {"contradicts": "nothing", "memo": ""}, 0),
        said(Kind.CONSISTENCY, {"contradicts": "profile", "memo": "x"}, 2),
        said(Kind.GOAL, [{"requirement": "where", "turn": 3}, {"requirement": "when", "turn": None}]),
    ))  # fmt: skip
    measures = Measures(AUTHOR)
    measures.add(conversation)
    assert measures.drift == {1: 0.0, 2: 1.0}
    assert measures.as_dict() == {
        "contradicts": {"nothing": 1, "profile": 1},
        "drift": {"1": 0.0, "2": 1.0},
        "goal": {"when": {"conversations": 1, "met": 0}, "where": {"conversations": 1, "met": 1}},
        "met_after_rounds": {"2": 1},
    }
    assert Measures("judge:other").as_dict() == {}


def test_profile_labels_are_those_of_the_vocabulary() -> None:
    judge = ProfileJudge("profile", Kind.PROFILE_MAPPED, VOCABULARY)
    prompts = load_prompts("profile", None, None)
    [question] = judge.questions(talk("a"), prompts, Room())
    system = prompts.messages(question.system, question.material, 0)[0][1]
    assert "- gender: Female | Male\n" in system
    assert system.endswith('{ "gender": ["label", ...], "age": ["label", ...] }')
    assert question.check({"gender": ["Female"], "age": []}) == ()
    for wrong in ({"gender": ["female"], "age": []}, {"gender": ["Female"]}, {"gender": "Female", "age": []}):
        with pytest.raises(Unusable):
            question.check(wrong)


def test_the_shipped_vocabulary_covers_the_aspects_and_another_is_checked(tmp_path: Path) -> None:
    assert set(read_vocabulary(None, None)) >= {"gender", "age", "travel_habits", "dining_preferences"}
    folder = tmp_path / "_annotation" / "profile"
    folder.mkdir(parents=True)
    for text in ("mood: {Good: 好}", "gender: [Female]", "gender: {Female: 1}", "", "- a", "a: ["):
        (folder / "vocabulary.yaml").write_text(text, "utf-8")
        with pytest.raises(BadInput, match=r"vocabulary\.yaml"):
            read_vocabulary(tmp_path, None)


def test_a_goal_names_a_turn_of_the_assistant_for_each_requirement() -> None:
    conversation = replace(talk("a", "b", "c", "d"), extra={"requirements": ["where", "when"]})
    [question] = GoalJudge().questions(conversation, load_prompts("goal", None, None), Room())
    assert question.check({"met": [1, None]}) == ()
    for wrong in ([1], [0, 1], [1, 4], [True, 1], ["1", None], None):
        with pytest.raises(Unusable):
            question.check({"met": wrong})
    assert list(GoalJudge().questions(talk("a", "b"), load_prompts("goal", None, None), Room())) == []


def test_consistency_is_judged_where_there_is_a_profile() -> None:
    prompts = load_prompts("consistency", None, None)
    questions = list(CONSISTENCY.questions(talk("a", "b", "c"), prompts, Room()))
    assert [question.step for question in questions] == ["turn-0", "turn-2"]
    assert "1. Gender: Female" in prompts.messages({}, questions[1].material, 0)[1][1]
    nobody = replace(talk("a"), profile=replace(talk("a").profile, text=""))
    assert list(CONSISTENCY.questions(nobody, prompts, Room())) == []
    for wrong in ({"contradicts": "profile", "reason": ""}, {"contradicts": "all", "reason": "x"}):
        with pytest.raises(Unusable):
            questions[0].check(wrong)


def test_options_make_an_annotator_what_it_was() -> None:
    assert configured("intent", {"vocabulary": "{}"}) is ANNOTATORS["intent"]
    profile = configured("profile", {"vocabulary": '{"gender": {"Female": "女性"}}'})
    assert isinstance(profile, ProfileJudge)
    assert profile.vocabulary == {"gender": {"Female": "女性"}}
