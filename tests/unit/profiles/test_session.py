"""A session: bounded context, attempts, and what becomes of failures; driven without any server."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.doubles.profile_texts import SIX, block

from engine.config.model_settings import ModelSettings
from engine.errors import CallFailed
from engine.profiles.prompts import load_prompts
from engine.profiles.regions import load_space
from engine.profiles.session import Answer, SessionPlan, ask_session, size_of
from engine.runner.stage import DONE, Ask, End
from engine.schema.call import Reply, Usage

PLAN = SessionPlan(
    load_prompts(SIX, is_json=False, templates=None, config_dir=None),
    load_space("en", 0, None, None),
    ModelSettings(model="m", max_tokens=256),
    batch=2,
    batches=4,
)
Said = str | CallFailed


def drive(plan: SessionPlan, says: list[Said]) -> tuple[End, list[Ask], list[Answer]]:
    """Run session 1 with these replies; its end, questions and answers."""
    answers: list[Answer] = []
    asked: list[Ask] = []
    steps = ask_session(plan, 1, answers)
    left = iter(says)
    try:
        question = next(steps)
        while True:
            asked.append(question)
            said = next(left)
            if isinstance(said, CallFailed):
                question = steps.throw(said)
            else:
                question = steps.send(Reply(said, "stop", Usage(), "m"))
    except StopIteration as stop:
        return stop.value, asked, answers


def two(first: int) -> str:
    return "\n\n".join(block(f"Profile {i}", age=str(20 + i)) for i in (first, first + 1))


def test_a_session_goes_on_asking_with_its_own_replies_in_view() -> None:
    end, asked, answers = drive(PLAN, [two(1), two(3), two(5), two(7)])
    assert end == End(DONE)
    assert [question.step for question in asked] == ["batch-1", "batch-2", "batch-3", "batch-4"]
    assert [len(question.messages) for question in asked] == [1, 3, 5, 7]
    assert asked[1].messages[1] == ("assistant", two(1))
    assert "numbered from 3" in asked[1].messages[-1][1]
    assert sum(len(answer.read.profiles) for answer in answers) == 8


def test_a_full_context_begins_anew_with_the_requirements_in_short() -> None:
    plan = replace(PLAN, settings=PLAN.settings.model_copy(update={"context_tokens": 1000}), batches=30)
    _, asked, _ = drive(plan, [two(2 * i + 1) for i in range(30)])
    assert max(size_of(question.messages) for question in asked) <= (1000 - 256) * 3
    anew = [question for question in asked[1:] if len(question.messages) == 1]
    assert anew
    assert "In short, what matters" in anew[0].messages[0][1]
    assert "some gender, 21, some occupation" in anew[0].messages[0][1]


def test_a_context_that_the_server_calls_full_begins_anew() -> None:
    end, asked, _ = drive(PLAN, [two(1), CallFailed("context_full", "full"), two(3), two(5), two(7)])
    assert end == End(DONE)
    assert [(question.step, question.attempt, len(question.messages)) for question in asked[1:3]] == [
        ("batch-2", 0, 3), ("batch-2", 1, 1),
    ]  # fmt: skip


def test_a_reply_without_a_profile_is_asked_for_again_and_never_shown() -> None:
    end, asked, _ = drive(PLAN, ["I'm sorry.", two(1), two(3), two(5), two(7)])
    assert end == End(DONE)
    assert (asked[1].step, asked[1].attempt) == ("batch-1", 1)
    assert asked[1].messages == asked[0].messages


def test_a_session_that_brought_something_ends_incomplete_where_a_call_fails() -> None:
    end, _, answers = drive(PLAN, [two(1), CallFailed("bad_request", "no")])
    assert end.result == "incomplete"
    assert len(answers[0].read.profiles) == 2
    end, _, _ = drive(PLAN, [two(1), "no", "no", "no"])
    assert (end.result, "unread" in end.note) == ("incomplete", True)


def test_a_session_that_brought_nothing_fails_with_its_call() -> None:
    with pytest.raises(CallFailed):
        drive(PLAN, [CallFailed("bad_request", "no")])
