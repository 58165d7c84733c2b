"""The message table of docs/design.md, row by row, and the laws of turn-taking."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dialogue.dialogue import Ask, Dialogue, DialogueRules
from engine.schema.conversation import EndReason, Role
from engine.schema.scenario import Prompts

PROMPTS = Prompts(
    simulator_setup=("ROLE", "SCENARIO", "PROFILE", "RULES"),
    assistant_setup=None,
    acknowledgement="Got it.",
    simulator_kickoff="Hello! How can I help you today?",
    assistant_kickoff="Greet the user.",
    end_prompt='[System] If all is settled, answer only with "Thank you, goodbye." Otherwise go on.',
    end_phrase="Thank you, goodbye.",
)
ASSISTED = Prompts(
    PROMPTS.simulator_setup,
    "ASSISTANT",
    "Got it.",
    "Hello!",
    "Greet.",
    PROMPTS.end_prompt,
    PROMPTS.end_phrase,
)
GOODBYE = "Thank you, goodbye."


def hold(dialogue: Dialogue, replies: list[str]) -> list[Ask]:
    """Answer the dialogue's questions from `replies`; the questions that were asked."""
    asks = []
    ask: Ask | None = dialogue.begin()
    for reply in replies:
        assert ask is not None
        asks.append(ask)
        ask = dialogue.answer(reply)
    if ask is not None:
        asks.append(ask)
    return asks


def seen_by(side: Role, asks: list[Ask]) -> list[tuple[str, str]]:
    """All messages of the last request to `side`."""
    seen = [message for ask in asks if ask.side is side for message in ask.messages]
    last = [ask for ask in asks if ask.side is side][-1]
    return seen + list(last.aside)


def test_modern_setup_is_one_system_message_and_a_kickoff() -> None:
    asks = hold(Dialogue(PROMPTS, DialogueRules()), [])
    assert asks[0].side is Role.USER
    assert tuple(asks[0].messages) == (
        ("system", "ROLE\n\nSCENARIO\n\nPROFILE\n\nRULES"),
        ("user", PROMPTS.simulator_kickoff),
    )


def test_paper_setup_is_user_messages_each_acknowledged() -> None:
    asks = hold(Dialogue(PROMPTS, DialogueRules(setup="paper")), [])
    assert tuple(asks[0].messages) == (
        ("user", "ROLE"), ("assistant", "Got it."),
        ("user", "SCENARIO"), ("assistant", "Got it."),
        ("user", "PROFILE"), ("assistant", "Got it."),
        ("user", "RULES"), ("assistant", "Got it."),
        ("user", PROMPTS.simulator_kickoff),
    )  # fmt: skip


@pytest.mark.parametrize("setup", ["modern", "paper"])
def test_assistant_prompt_is_optional_and_follows_the_setup_style(setup: str) -> None:
    plain = hold(Dialogue(PROMPTS, DialogueRules(setup=setup)), ["hi"])
    assert tuple(plain[1].messages) == (("user", "hi"),)
    assisted = hold(Dialogue(ASSISTED, DialogueRules(setup=setup)), ["hi"])
    expected = {
        "modern": (("system", "ASSISTANT"), ("user", "hi")),
        "paper": (("user", "ASSISTANT"), ("assistant", "Got it."), ("user", "hi")),
    }
    assert tuple(assisted[1].messages) == expected[setup]


def test_round_shows_the_reply_with_the_end_prompt_to_the_simulator_alone() -> None:
    dialogue = Dialogue(PROMPTS, DialogueRules())
    asks = hold(dialogue, ["u1", "a1", "u2", "a2", GOODBYE])
    assert [ask.step for ask in asks] == ["user-1", "assistant-1", "user-2", "assistant-2", "user-3"]
    assert seen_by(Role.USER, asks)[1:] == [
        ("user", PROMPTS.simulator_kickoff),
        ("assistant", "u1"),
        ("user", f"a1\n\n{PROMPTS.end_prompt}"),
        ("assistant", "u2"),
        ("user", f"a2\n\n{PROMPTS.end_prompt}"),
    ]
    assert seen_by(Role.ASSISTANT, asks) == [("user", "u1"), ("assistant", "a1"), ("user", "u2")]
    assert [(turn.role, turn.content) for turn in dialogue.turns] == [
        ("user", "u1"), ("assistant", "a1"), ("user", "u2"), ("assistant", "a2"),
    ]  # fmt: skip
    assert dialogue.end_reason is EndReason.GOODBYE
    assert dialogue.rounds == 2


def test_assistant_opener_stores_the_greeting_and_shows_it_without_end_prompt() -> None:
    dialogue = Dialogue(PROMPTS, DialogueRules(opener="assistant"))
    asks = hold(dialogue, ["greeting", "u1", "a1", GOODBYE])
    assert [ask.step for ask in asks] == ["assistant-0", "user-1", "assistant-1", "user-2"]
    assert tuple(asks[0].messages) == (("user", "Greet the user."),)
    assert asks[1].messages[-1] == ("user", "greeting")
    assert seen_by(Role.ASSISTANT, asks) == [
        ("user", "Greet the user."), ("assistant", "greeting"), ("user", "u1"),
    ]  # fmt: skip
    assert [turn.content for turn in dialogue.turns] == ["greeting", "u1", "a1"]
    assert dialogue.rounds == 1


def test_after_the_last_round_nobody_is_asked() -> None:
    dialogue = Dialogue(PROMPTS, DialogueRules(max_rounds=2))
    asks = hold(dialogue, ["u1", "a1", "u2", "a2"])
    assert len(asks) == 4
    assert dialogue.end_reason is EndReason.MAX_ROUNDS
    assert dialogue.rounds == 2


def test_goodbye_at_once_leaves_an_empty_history() -> None:
    dialogue = Dialogue(PROMPTS, DialogueRules())
    hold(dialogue, [GOODBYE])
    assert dialogue.turns == []
    assert dialogue.end_reason is EndReason.GOODBYE


def test_parroted_end_prompt_is_stored_flagged_and_goes_on() -> None:
    dialogue = Dialogue(PROMPTS, DialogueRules())
    hold(dialogue, ["u1", "a1", PROMPTS.end_prompt, "a2"])
    assert dialogue.turns[2].content == PROMPTS.end_prompt
    assert dialogue.turns[2].flags == ("parrot",)
    assert dialogue.end_reason is None


def test_texts_are_stored_unstripped() -> None:
    dialogue = Dialogue(PROMPTS, DialogueRules())
    hold(dialogue, ["  u1\n", "\ta1 \n\n", " Thank you, goodbye.\n"])
    assert [turn.content for turn in dialogue.turns] == ["  u1\n", "\ta1 \n\n"]


@pytest.mark.parametrize("finish", ["content_filter", "refusal"])
def test_withheld_reply_ends_the_conversation_as_refused(finish: str) -> None:
    dialogue = Dialogue(PROMPTS, DialogueRules(debrief=(("user", "why?"),)))
    dialogue.begin()
    dialogue.answer("u1")
    assert dialogue.answer("", finish) is None
    assert dialogue.end_reason is EndReason.REFUSED
    assert [turn.content for turn in dialogue.turns] == ["u1"]
    assert dialogue.rounds == 0


def test_cut_off_reply_is_flagged() -> None:
    dialogue = Dialogue(PROMPTS, DialogueRules())
    dialogue.begin()
    dialogue.answer("a long st", "length")
    assert dialogue.turns[0].flags == ("truncated",)


def test_debrief_asks_each_question_on_the_conversation_alone() -> None:
    rules = DialogueRules(debrief=(("user", "Q1"), ("assistant", "Q2"), ("user", "Q3")))
    dialogue = Dialogue(PROMPTS, rules)
    asks = hold(dialogue, ["u1", "a1", GOODBYE, "answer one", "answer two", "answer three"])
    assert [ask.step for ask in asks[3:]] == ["debrief-user-1", "debrief-assistant-2", "debrief-user-3"]
    assert seen_by(Role.USER, asks)[-3:] == [
        ("user", f"a1\n\n{PROMPTS.end_prompt}"), ("assistant", GOODBYE), ("user", "Q3"),
    ]  # fmt: skip
    assert seen_by(Role.ASSISTANT, asks) == [("user", "u1"), ("assistant", "a1"), ("user", "Q2")]
    assert [(a.role, a.question, a.answer) for a in dialogue.debrief] == [
        ("user", "Q1", "answer one"), ("assistant", "Q2", "answer two"), ("user", "Q3", "answer three"),
    ]  # fmt: skip


def test_debrief_after_the_last_round_shows_the_unseen_reply() -> None:
    rules = DialogueRules(max_rounds=1, debrief=(("user", "Q1"),))
    asks = hold(Dialogue(PROMPTS, rules), ["u1", "a1", "answer"])
    assert tuple(asks[-1].messages) == (("assistant", "u1"),)
    assert asks[-1].aside == (("user", "a1\n\nQ1"),)


texts = st.one_of(
    st.text(max_size=40),
    st.sampled_from([GOODBYE, PROMPTS.end_prompt, "Thank you", "goodbye", "{{ x }}", "<|im_end|>", " \n"]),
)
all_rules = st.builds(
    DialogueRules,
    setup=st.sampled_from(["modern", "paper"]),
    opener=st.sampled_from(["user", "assistant"]),
    max_rounds=st.integers(1, 6),
    strict_end=st.booleans(),
    debrief=st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.just("Q")), max_size=3).map(tuple),
)


@given(rules=all_rules, prompts=st.sampled_from([PROMPTS, ASSISTED]), replies=st.lists(texts, min_size=40))
def test_laws_of_turn_taking(rules: DialogueRules, prompts: Prompts, replies: list[str]) -> None:
    dialogue = Dialogue(prompts, rules)
    views: dict[Role, list[tuple[str, str]]] = {Role.USER: [], Role.ASSISTANT: []}
    steps = set()
    ask: Ask | None = dialogue.begin()
    for reply in replies:
        if ask is None:
            break
        assert ask.step not in steps
        steps.add(ask.step)
        views[ask.side] += ask.messages
        request = views[ask.side] + list(ask.aside)
        speakers = [role for role, _ in request if role != "system"]
        assert speakers[-1] == "user"
        assert all(a != b for a, b in itertools.pairwise(speakers))
        assert [role for role, _ in request].count("system") <= 1
        ask = dialogue.answer(reply)
    assert ask is None, "every conversation ends"
    assert dialogue.end_reason in (EndReason.GOODBYE, EndReason.MAX_ROUNDS)
    roles = [turn.role for turn in dialogue.turns]
    assert all(a is not b for a, b in itertools.pairwise(roles))
    if roles:
        assert roles[0] == rules.opener
        assert roles[-1] is Role.ASSISTANT
    assert dialogue.rounds == roles.count(Role.USER) <= rules.max_rounds
    assert len(dialogue.debrief) == len(rules.debrief)
