"""The responder's laws: same request, same answer; reference lengths; every defect at its rate."""

from __future__ import annotations

import re
from statistics import mean
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rs_bpe.bpe import openai

from engine.rehearsal.asked import read_asked
from engine.rehearsal.defects import Defect, assistant_flaw, simulator_flaw
from engine.rehearsal.figures import SHAPES
from engine.rehearsal.responder import answer
from engine.rehearsal.simulator import option_names
from engine.rehearsal.tokens import cut_to_tokens, estimate_tokens

TASKS = ("gifts", "newtravel", "recipe", "skills", "travel")
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
_MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": _TEXT}),
    min_size=1,
    max_size=8,
)


@given(_MESSAGES, st.integers(0, 5), st.floats(0, 1), st.integers(1, 400))
@settings(max_examples=150, deadline=None)
def test_equal_requests_get_equal_answers(
    messages: list[dict[str, str]], seed: int, rate: float, max_tokens: int
) -> None:
    body: dict[str, object] = {"model": "m", "messages": messages, "max_tokens": max_tokens}
    reordered: dict[str, object] = {
        "max_tokens": max_tokens,
        "messages": [{"content": m["content"], "role": m["role"]} for m in messages],
        "model": "m",
        "user": "ignored",
    }
    first = answer(read_asked(body), seed=seed, defect_rate=rate)
    answer(read_asked({"model": "m", "messages": messages[:1]}), seed=seed, defect_rate=rate)
    assert answer(read_asked(reordered), seed=seed, defect_rate=rate) == first
    assert first.completion_tokens <= max_tokens
    assert 0 <= first.cached_tokens <= first.prompt_tokens


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("task", TASKS)
def test_lengths_and_rounds_follow_the_reference(held: ModuleType, task: str, language: str) -> None:
    count = openai.cl100k_base().count
    talks = [held.hold(task, number, language=language) for number in range(300)]
    shape = SHAPES[task]
    assert mean(len(t.user) for t in talks) == pytest.approx(shape.mean_turns, rel=0.1)
    users = [count(text) for t in talks for text in t.user]
    assistants = [count(text) for t in talks for text in t.assistant]
    assert mean(users) == pytest.approx(shape.user_tokens, rel=0.1)
    assert mean(assistants) == pytest.approx(shape.assistant_tokens, rel=0.1)


@pytest.mark.parametrize("style", ["modern", "paper"])
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("task", [*TASKS, "neutral"])
def test_turns_are_coherent(held: ModuleType, task: str, language: str, style: str) -> None:
    for number in range(8):
        talk = held.hold(task, number, language=language, style=style)
        assert len(talk.user) == len(talk.assistant)
        assert len(set(talk.user)) == len(talk.user)
        assert len(set(talk.assistant)) == len(talk.assistant)
        lines = held.profile_text(number, language).splitlines()
        values = (re.split("[:：] ?", line, maxsplit=1)[1] for line in lines)
        phrases = [
            re.sub("^(Enjoys|Prefers|Saves|Keeps) ", "", p) for v in values for p in re.split("[,、] ?", v)
        ]
        for i, turn in enumerate(talk.user):
            assert any(p.lower() in turn.lower() for p in phrases if len(p) > 1), turn
            if i:
                options = option_names(talk.assistant[i - 1])
                assert any(name in turn for name in options), turn
            assert turn[-1] in ".?!。？！"
        for reply in talk.assistant:
            assert len(option_names(reply)) >= 3, reply
            assert reply == reply.strip()
            assert "{" not in reply
        has_chinese = re.search("[一-鿿]", "".join(talk.user + talk.assistant)) is not None
        assert has_chinese == (language == "zh")


def test_distinct_jobs_give_distinct_texts(held: ModuleType) -> None:
    talks = [held.hold("gifts", number) for number in range(60)]
    texts = [text for talk in talks for text in talk.user + talk.assistant]
    assert len(set(texts)) > 0.98 * len(texts)


def test_no_defect_at_rate_zero_and_a_defect_everywhere_at_one() -> None:
    assert all(simulator_flaw(0, 0.0, f"set-up {i}", "") is None for i in range(200))
    kinds = {
        flaw.kind
        for i in range(600)
        for flaw in (simulator_flaw(0, 1.0, f"set-up {i}", ""), assistant_flaw(0, 1.0, f"{i}", ""))
        if flaw is not None
    }
    assert kinds == set(Defect)


def test_share_of_defective_conversations_is_the_rate() -> None:
    flawed = sum(
        simulator_flaw(3, 0.13, f"set-up {i}", "k") is not None
        or assistant_flaw(3, 0.13, f"{i}", "k") is not None
        for i in range(20_000)
    )
    assert flawed / 20_000 == pytest.approx(0.13, abs=0.008)


def _looks(kind: Defect, talk: object, goodbye: str) -> bool:
    user, assistant = talk.user, talk.assistant  # type: ignore[attr-defined]
    answers = talk.answers  # type: ignore[attr-defined]
    texts = "\n".join(user)
    return {
        Defect.ROLE_FLIP: bool(re.search("here to help|glad I could|How can I assist", texts)),
        Defect.SYSTEM_NOTE: "[System]" in texts and goodbye not in texts,
        Defect.PARROTED_PROMPT: any(text.startswith("[System]") and goodbye in text for text in user),
        Defect.EXACT_REPEAT: len(set(user)) < len(user),
        Defect.CUT_OFF: any(a.finish_reason == "length" and a.text[-1].isalpha() for a in answers),
        Defect.TOO_SHORT: len(user) == 1,
        Defect.COURTESY_LOOP: sum(estimate_tokens(t) < 20 and "hank" in t for t in user) == 3,
        Defect.AI_SELF_REFERENCE: "As an AI language model" in texts,
        Defect.WRONG_LANGUAGE: re.search("[一-鿿]", texts) is not None,
        Defect.PLAYS_USER: any(
            not option_names(t) and ("ecommend" in t or "help me" in t) for t in assistant
        ),
        Defect.REFUSES: any(t.startswith("I'm sorry, but I") for t in assistant),
    }[kind]


def test_each_defect_shows_in_its_conversation_and_nowhere_else(held: ModuleType) -> None:
    seen = set()
    for number in range(400):
        talk = held.hold("travel", number, defect_rate=0.6)
        setup = held.setup_messages("travel", "en", number, "modern")[0]["content"]
        key = f"job {number}"
        kinds = {
            flaw.kind
            for flaw in (
                simulator_flaw(0, 0.6, setup, key),
                assistant_flaw(0, 0.6, talk.user[0], key),
            )
            if flaw is not None
        }
        missing = {kind for kind in kinds if not _looks(kind, talk, held.END["en"])}
        # A conversation that ends after one round shows no second turn of the assistant.
        assert not missing or Defect.TOO_SHORT in kinds, (number, kinds)
        if not kinds:
            assert not any(_looks(kind, talk, held.END["en"]) for kind in Defect), number
        seen |= kinds
    assert seen == set(Defect)


def test_prompt_cache_key_alone_separates_repeats_of_a_job() -> None:
    flaws = {simulator_flaw(0, 0.5, "set-up", f"repeat {i}") for i in range(40)}
    assert len(flaws) > 5


def _ask(*messages: tuple[str, str]) -> str:
    body: dict[str, object] = {"model": "m", "messages": [{"role": r, "content": c} for r, c in messages]}
    return answer(read_asked(body), seed=0, defect_rate=0.0).text


def test_debrief_question_is_answered_in_the_role(held: ModuleType) -> None:
    setup = held.setup_messages("gifts", "en", 1, "modern")[0]["content"]
    talk = held.hold("gifts", 1)
    said = _ask(
        ("system", setup),
        ("user", "Hello!"),
        ("assistant", talk.user[0]),
        ("user", f"{talk.assistant[0]}\n\n{held.END_PROMPT['en']}"),
        ("assistant", held.END["en"]),
        ("user", "Which preferences did you voice?"),
    )
    assert said != held.END["en"]
    assert not option_names(said)
    assert estimate_tokens(said) < 60


def test_assistant_is_asked_for_a_summary() -> None:
    said = _ask(
        ("user", "I need a gift for my teacher."),
        ("assistant", "1. A pen: good."),
        ("user", "Summarise the talk."),
    )
    assert not option_names(said)


def test_greeting_is_short_and_unknown_questions_get_a_sentence() -> None:
    assert estimate_tokens(_ask(("user", "Please open the conversation: greet the user."))) < 40
    assert not option_names(_ask(("user", "What is seven times six?")))
    assert not option_names(_ask(("user", "Rate the following trip planning conversation in JSON.")))


def test_unknown_task_gets_neutral_options() -> None:
    assert len(option_names(_ask(("user", "Can you recommend a restaurant near the office?")))) >= 3


def test_end_phrase_of_ones_own_is_found(held: ModuleType) -> None:
    setup = held.setup_messages("gifts", "en", 3, "modern")[0]["content"]
    messages = [("system", setup), ("user", "Hello!")]
    for i in range(12):
        messages += [
            ("assistant", f"My turn {i}."),
            ("user", '1. A: b.\n\n[Note] Say "That is all, bye." if done.'),
        ]
    assert _ask(*messages) == "That is all, bye."


@given(_TEXT, st.integers(0, 60))
def test_cut_is_the_longest_prefix_within_the_limit(text: str, limit: int) -> None:
    cut = cut_to_tokens(text, limit)
    assert text.startswith(cut)
    assert estimate_tokens(cut) <= limit
