"""Gates: each on what it is for and on what it must let pass; attempts, and what is kept in the end."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dialogue import languages, phrases, speech
from engine.dialogue.dialogue import Ask, Dialogue, DialogueRules
from engine.dialogue.gates import GATES, TurnContext, fired
from engine.dialogue.speech import fold
from engine.schema.conversation import EndReason, Role
from engine.schema.gate import GATE_NAMES, GATES_VERSION, Firing, GateName
from engine.schema.scenario import Prompts

GOODBYE = "Thank you, goodbye."
PROMPTS = Prompts(
    simulator_setup=("ROLE",),
    assistant_setup=None,
    acknowledgement="Got it.",
    simulator_kickoff="Hello!",
    assistant_kickoff="Greet.",
    end_prompt='If all is settled, answer only with "Thank you, goodbye." Otherwise go on.',
    end_phrase=GOODBYE,
)
LONG = "I would like to see the old town first and then have lunch."
RULES = DialogueRules(gates=GATE_NAMES, regenerate=2)
PLAIN = TurnContext(
    fold(LONG), "stop", 3, False, False, "en", PROMPTS.end_prompt, ("Hi, I need a plan.",), "Sure."
)

FIRES: dict[str, tuple[GateName, TurnContext]] = {
    "the assistant's voice": ("role", replace(PLAIN, folded="you're welcome! how can i help you today?")),
    "an AI": ("role", replace(PLAIN, folded="as an ai language model i have no taste of my own.")),
    "a made-up note": ("system_note", replace(PLAIN, folded="i see.\n[system] the user is content.")),
    "a stretch of the end prompt": (
        "parrot",
        replace(
            PLAIN,
            folded="well, go on if all of this is settled and answer only with a word, it says",
            end_prompt="Go on. If all of this is settled and answer only with a word, it says goodbye.",
        ),
    ),
    "another script": (
        "language",
        replace(PLAIN, folded="我想先去老城区看看，然后再吃午饭，晚上早点回酒店休息。"),
    ),
    "another language": (
        "language",
        replace(
            PLAIN,
            folded="je voudrais d'abord voir la vieille ville et ensuite je mange avec vous dans une auberge",
        ),
    ),
    "echo": ("parrot", replace(PLAIN, is_echo=True)),
    "said before": ("repeat", replace(PLAIN, own_turns=("Hi.", f" {LONG.upper()}\n"))),
    "the assistant's words": ("repeat", replace(PLAIN, heard=LONG)),
    "length limit": ("cut_off", replace(PLAIN, finish_reason="length")),
    "goodbye at once": ("early_goodbye", replace(PLAIN, number=1, is_goodbye=True)),
    "goodbye after one round": ("early_goodbye", replace(PLAIN, number=2, is_goodbye=True)),
}
PASSES = {
    "a plain turn": PLAIN,
    "a short repeat": replace(PLAIN, folded="yes, please.", own_turns=("Yes, please.",)),
    "a goodbye in time": replace(PLAIN, is_goodbye=True, folded=fold(GOODBYE)),
    "a learner's sentence": replace(
        PLAIN,
        folded="je voudrais d'abord voir la vieille ville et ensuite je mange avec vous dans une auberge",
        own_turns=("I want to learn French before summer.",),
    ),
}


@pytest.mark.parametrize("case", FIRES)
def test_gate_fires_alone_on_what_it_is_for(case: str) -> None:
    name, turn = FIRES[case]
    assert fired(GATE_NAMES, turn) == (name,)


@pytest.mark.parametrize("case", PASSES)
def test_no_gate_fires_on_a_sound_turn(case: str) -> None:
    assert fired(GATE_NAMES, PASSES[case]) == ()


def test_every_name_has_its_gate_and_a_case() -> None:
    assert set(GATES) == set(GATE_NAMES) == {name for name, _ in FIRES.values()}


def described(value: object) -> str:
    """A constant in full, whatever order its sets have."""
    match value:
        case re.Pattern():
            return repr(value.pattern)
        case dict():
            return described(sorted(value.items()))
        case frozenset():
            return described(sorted(value))
        case tuple() | list():
            return f"({', '.join(map(described, value))})"
        case _:
            return repr(value) if isinstance(value, int | str | None) else ""


def test_version_changes_with_what_the_gates_look_for() -> None:
    """A run is refused at a resume where its gates would now decide otherwise: raise GATES_VERSION then."""
    constants = [
        f"{name} = {described(value)}"
        for module in (languages, phrases, speech)
        for name, value in sorted(vars(module).items())
        if not name.startswith("__") and described(value)
    ]
    digest = blake2b("\n".join(constants).encode(), digest_size=8).hexdigest()
    assert (GATES_VERSION, digest) == ("2", "08c7ddd864c6efb0")


def answers(dialogue: Dialogue, *replies: str) -> Ask | None:
    """The question after `replies`."""
    ask: Ask | None = dialogue.begin()
    for reply in replies:
        ask = dialogue.answer(reply)
    return ask


def is_next_attempt(ask: Ask | None, step: str) -> bool:
    """Whether the same step of the simulator is asked again, with nothing new in its messages."""
    return ask is not None and (ask.side, ask.step, ask.messages, ask.attempt) == (Role.USER, step, (), 1)


def test_refused_reply_is_asked_for_again_with_the_same_messages() -> None:
    dialogue = Dialogue(PROMPTS, RULES)
    ask = answers(dialogue, "Hi!", "a1", PROMPTS.end_prompt)
    assert is_next_attempt(ask, "user-2")
    ask = dialogue.answer(LONG)
    assert ask is not None
    assert (ask.side, ask.step, ask.messages[-1], ask.attempt) == (
        Role.ASSISTANT, "assistant-2", ("user", LONG), 0,
    )  # fmt: skip
    assert [turn.content for turn in dialogue.turns] == ["Hi!", "a1", LONG]
    assert dialogue.firings == [Firing("user-2", 0, ("parrot",), kept=False)]
    assert dialogue.judged == 2


def test_after_the_last_attempt_the_reply_stays_flagged() -> None:
    dialogue = Dialogue(PROMPTS, RULES)
    ask = answers(dialogue, "Hi!", "a1", *3 * [PROMPTS.end_prompt])
    assert ask is not None
    assert ask.step == "assistant-2"
    assert dialogue.turns[-1].flags == ("parrot", "gate:parrot")
    assert [firing.kept for firing in dialogue.firings] == [False, False, True]


def test_goodbye_at_once_is_accepted_in_the_end() -> None:
    dialogue = Dialogue(PROMPTS, RULES)
    assert answers(dialogue, GOODBYE, GOODBYE, GOODBYE) is None
    assert dialogue.end_reason is EndReason.GOODBYE
    assert [firing.attempt for firing in dialogue.firings] == [0, 1, 2]


def test_without_gates_nothing_is_asked_twice() -> None:
    dialogue = Dialogue(PROMPTS, DialogueRules())
    ask = answers(dialogue, "Hi!", "a1", PROMPTS.end_prompt)
    assert ask is not None
    assert ask.step == "assistant-2"
    assert (dialogue.firings, dialogue.judged) == ([], 0)


def test_what_was_decided_once_stands_whatever_gates_say_today() -> None:
    dialogue = Dialogue(PROMPTS, RULES)
    dialogue.begin()
    ask = dialogue.answer("A sound turn.", is_refused=True)
    assert is_next_attempt(ask, "user-1")
    ask = dialogue.answer(GOODBYE, is_refused=False)
    assert dialogue.end_reason is EndReason.GOODBYE
    assert dialogue.firings == [
        Firing("user-1", 0, (), kept=False), Firing("user-1", 1, ("early_goodbye",), kept=True),
    ]  # fmt: skip


replies = st.lists(
    st.sampled_from([GOODBYE, PROMPTS.end_prompt, LONG, "Yes.", "", "I see."]) | st.text(max_size=20),
    min_size=60, max_size=60,
)  # fmt: skip


@given(replies=replies, regenerate=st.integers(1, 3), opener=st.sampled_from(["user", "assistant"]))
def test_every_conversation_ends_and_each_step_is_asked_a_bounded_number_of_times(
    replies: list[str], regenerate: int, opener: str
) -> None:
    rules = DialogueRules(gates=GATE_NAMES, regenerate=regenerate, opener=opener, max_rounds=4)
    dialogue = Dialogue(PROMPTS, rules)
    asked: list[tuple[str, int]] = []
    ask: Ask | None = dialogue.begin()
    for reply in replies:
        if ask is None:
            break
        asked.append((ask.step, ask.attempt))
        ask = dialogue.answer(reply)
    assert ask is None
    assert len(set(asked)) == len(asked)
    assert all(attempt == 0 or asked[i - 1] == (step, attempt - 1) for i, (step, attempt) in enumerate(asked))
    assert max(attempt for _, attempt in asked) <= regenerate
    assert all(a.role is not b.role for a, b in itertools.pairwise(dialogue.turns))
    refused = sum(not firing.kept for firing in dialogue.firings)
    assert refused == sum(attempt > 0 for _, attempt in asked)
