from __future__ import annotations

import time
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dataset import rules_simulator
from engine.dataset.rules import Finding
from engine.dataset.rules_form import is_broken_off
from engine.dataset.validation import RULES, drop_reasons, keep, validate
from engine.dialogue import phrases
from engine.dialogue.phrases import Phrase
from engine.schema.conversation import EndReason, Role, Turn

END_PROMPT = (
    "If every requirement has been met and you are satisfied with the answers so far, "
    "reply with the word Goodbye and nothing else."
)
ASK = "Hi, I need a present for my aunt who keeps bees. What would you get her?"
ANSWER = "A hive scale would be useful, or a good smoker. Which one suits her better?"
CHOOSE = "The scale, I think. Where should I look for one under eighty euros?"
CLOSE = "Try the beekeepers' club in your town: members often sell theirs."


def talk(*texts: str, start: Role = Role.USER) -> list[Turn]:
    other = Role.ASSISTANT if start is Role.USER else Role.USER
    return [Turn(role, text) for role, text in zip(cycle((start, other)), texts, strict=False)]


def found(turns: list[Turn], *, language: str = "en", end_prompt: str = END_PROMPT) -> list[Finding]:
    return list(validate(turns, end_reason=EndReason.GOODBYE, language=language, end_prompt=end_prompt))


def names(turns: list[Turn], *, language: str = "en") -> set[str]:
    return {finding.rule for finding in found(turns, language=language)}


def user_says(text: str, *, language: str = "en") -> set[str]:
    return names(talk(ASK, ANSWER, text, CLOSE), language=language) - {"wrong_language"}


def assistant_says(text: str, *, language: str = "en") -> set[str]:
    return names(talk(ASK, text, CHOOSE, CLOSE), language=language) - {"wrong_language"}


def test_ordinary_conversation_has_no_finding() -> None:
    assert found(talk(ASK, ANSWER, CHOOSE, CLOSE)) == []


def test_rules_have_distinct_names_and_say_what_they_are() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.description for rule in RULES)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("You're welcome! Enjoy the visit.", "role_flip"),
        ("Hello! How can I assist you today?", "role_flip"),
        ("Sounds fine. Do you have any dietary restrictions?", "role_flip"),
        ("Good. Is there anything else I can help you with?", "role_flip"),
        ("不客气，祝您愉快！", "role_flip"),
        ("你好，今天我可以帮您做些什么？", "role_flip"),
        ("Thanks, that is all. [System]: Glad to be of use.", "imitated_system_note"),
        ("谢谢！【系统】：对话结束。", "imitated_system_note"),
        ("Well, as an AI I have no aunt.", "ai_self_reference"),
        ("作为一个人工智能，我没有阿姨。", "ai_self_reference"),
        ("Dear LLM, what about honey jars?", "mentions_llm_user"),
        ("As the task requirements in the task description say, it is a gift.", "mentions_set_up"),
        ("根据任务要求，我要买礼物。", "mentions_set_up"),
        ("I'm sorry, but I can't assist with that.", "refuses_role"),
        ("抱歉，我无法提供这些信息。", "refuses_role"),
        ("...", "empty_turn"),
        (" \n\u200b", "empty_turn"),
    ],
)
def test_simulator_defect_is_found(text: str, rule: str) -> None:
    assert rule in user_says(text)


@pytest.mark.parametrize(
    "text",
    [
        "I'm glad you're here to help! Which scale is best?",
        "You are welcome to suggest a dearer one, too.",
        "If I have questions I won't hesitate to ask.",
        "Please feel free to suggest anything else.",
        "Do you have any recommendations for a shop?",
        "My [System] settings show the wrong time zone, can you help?",
        "I work as an air traffic controller, so I like things exact.",
        "👍",
        "我没有任何饮食限制，您有什么推荐吗？",
        "我是一名教师，想学一点编程，可以吗？",
    ],
)
def test_ordinary_user_turn_is_left_alone(text: str) -> None:
    assert user_says(text) == set()


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Thank you! I'll definitely reach out if I need more ideas.", "plays_user"),
        ("A scale is good.\nUser: And where do I buy it?", "plays_user"),
        ("谢谢！如果我有更多问题，我会联系您。", "plays_user"),
        ("I'm sorry, but I can't help with that request.", "refuses_task"),
        ("很抱歉，我无法提供帮助。", "refuses_task"),
        ("As an AI, I have no taste in honey, but a scale is good.", "ai_disclaimer"),
        ("A scale is good. I can't make the reservation for you, but the club can.", "ai_disclaimer"),
        ("我无法实时查询价格，不过可以看看商店网站。", "ai_disclaimer"),
    ],
)
def test_assistant_defect_is_found(text: str, rule: str) -> None:
    assert rule in assistant_says(text)


def test_only_a_change_of_role_drops_for_the_assistant() -> None:
    refusal = found(talk(ASK, "I'm sorry, but I can't help with that request.", CHOOSE, CLOSE))
    assert [(f.effect, f.side) for f in refusal] == [("flag", "assistant")]
    flip = found(talk(ASK, "Thanks! I'll reach out if I need more ideas.", CHOOSE, CLOSE))
    assert [(f.rule, f.effect, f.turn_index) for f in flip] == [("plays_user", "drop", 1)]


def test_words_inside_an_imitated_note_are_not_counted_again() -> None:
    text = "Thanks, I will look there. [System]: You're welcome, as an AI I am glad."
    assert user_says(text) == {"imitated_system_note"}


def test_end_prompt_said_back_is_parroting() -> None:
    said = "Fine. if every requirement has been met, and you are satisfied with the answers so far then..."
    assert "parroted_end_prompt" in user_says(said)
    assert "parroted_end_prompt" not in user_says("Every requirement has been met, thank you.")
    assert found(talk(ASK, ANSWER, said, CLOSE), end_prompt="") == []
    assert found(talk(ASK, ANSWER, "All done, goodbye then?", CLOSE), end_prompt="Goodbye then?") == []


def test_marks_of_the_dialogue_are_taken_over() -> None:
    parrot = Turn(Role.USER, CHOOSE, flags=("parrot",))
    broken = Turn(Role.ASSISTANT, CLOSE, flags=("truncated",))
    turns = [*talk(ASK, ANSWER), parrot, broken]
    assert {(f.rule, f.side) for f in found(turns)} == {
        ("parroted_end_prompt", "simulator"),
        ("cut_off_turn", "assistant"),
    }


def test_length_limit_drops_and_odd_ending_flags() -> None:
    stopped = [*talk(ASK, ANSWER, CHOOSE), Turn(Role.ASSISTANT, CLOSE, finish_reason="length")]
    assert [(f.rule, f.effect) for f in found(stopped)] == [("cut_off_turn", "drop")]
    odd = talk(ASK, ANSWER, CHOOSE, "Try the club. They meet every week in the old hall behind")
    assert [(f.rule, f.effect) for f in found(odd)] == [("ends_mid_sentence", "flag")]


@pytest.mark.parametrize(
    "text",
    [
        "It is done.",
        "Really?",
        'He said "yes."',
        "(see above)",
        "**Enjoy!**",
        "Here is the list:",
        "Have fun 🎉",
        "Sounds good. Thanks a lot",
        "- oats\n- two ripe bananas and some honey",
        "1. Flour\n2. Four eggs from the farm next door",
        "| a | b |",
        "The end\n---",
        "好的，谢谢你",
        "明天见。",
        "“可以。”",
        "",
        "Option 3",
    ],
)
def test_ending_that_needs_no_full_stop_is_not_broken_off(text: str) -> None:
    assert not is_broken_off(text)


@pytest.mark.parametrize(
    "text",
    [
        "We meet on Monday. After that you can walk along the river towards",
        "Please bring the",
        "- eggs\n- flour for the",
        "There are three options,",
        "The best is the self-",
        "你可以先去博物馆，",
        "Nothing is settled yet and the whole group still waits for my answer today",
    ],
)
def test_text_that_stops_short_is_broken_off(text: str) -> None:
    assert is_broken_off(text)


def test_exact_repeat_drops_and_near_repeat_flags() -> None:
    exact = found(talk(ASK, ANSWER, ASK, CLOSE))
    assert [(f.rule, f.effect, f.side, f.turn_index) for f in exact] == [
        ("repeated_turn", "drop", "simulator", 2)
    ]
    near = found(talk(ASK, CLOSE, CHOOSE, CLOSE.replace("town", "village")))
    assert [(f.rule, f.effect, f.side, f.turn_index) for f in near] == [
        ("near_repeat", "flag", "assistant", 3)
    ]


def test_short_repeat_is_how_people_talk() -> None:
    assert names(talk("Yes, please.", ANSWER, "Yes, please.", CLOSE)) == set()


def test_near_repeat_is_seen_in_chinese() -> None:
    text = "我想给喜欢养蜂的阿姨买一份生日礼物，你有什么建议？"
    turns = talk(text, "可以买一台蜂箱秤。", text.replace("生日", "节日"), "也可以买烟熏器。")
    assert names(turns, language="zh") == {"near_repeat"}


def test_closing_thanks_are_a_loop_from_two_turns_on() -> None:
    thanks = (
        "Thank you again for all your help, have a great day!",
        "You too, enjoy the visit.",
        "Thanks once again, I will reach out with more questions.",
        "Any time, have a good trip.",
    )
    once, twice = talk(ASK, ANSWER, *thanks[:2]), talk(ASK, ANSWER, *thanks)
    assert "courtesy_loop" not in names(once)
    assert [(f.rule, f.turn_index) for f in found(twice)] == [("courtesy_loop", 2)]
    asking = talk(ASK, ANSWER, *thanks[:2], "Thank you again! Could you name a shop?", CLOSE)
    assert "courtesy_loop" not in names(asking)


def test_one_user_turn_is_too_short() -> None:
    assert [(f.rule, f.turn_index) for f in found(talk(ASK, ANSWER))] == [("too_short", None)]
    assert names(talk("Hello!", ASK, ANSWER, start=Role.ASSISTANT)) == {"too_short"}


def test_language_is_judged_by_script_and_words() -> None:
    chinese = "可以给她买一台蜂箱秤，或者一个好用的烟熏器，她会喜欢的。"
    assert "wrong_language" in names(talk(ASK, chinese, CHOOSE, CLOSE))
    assert "wrong_language" in names(talk("我想买一份礼物给我阿姨。", ANSWER), language="zh")
    quoted = "Say 谢谢 (thank you) to her, and bring the scale in a box."
    assert names(talk(ASK, quoted, CHOOSE, CLOSE)) == set()
    mixed = talk("请用Python写吗？", "好的：\nprint(1)", "再解释一下？", "这行代码会打印数字一。")
    assert names(mixed, language="zh") == set()
    assert "wrong_language" not in names(talk(ASK, chinese, CHOOSE, CLOSE), language="fr")


def test_keeping_needs_a_proper_end_and_no_dropping_finding() -> None:
    flag = Finding("courtesy_loop", "flag", "simulator", 2, "")
    drop = Finding("role_flip", "drop", "simulator", 0, "")
    for reason in (EndReason.GOODBYE, EndReason.MAX_ROUNDS, EndReason.CONTEXT_FULL):
        assert keep([flag], reason)
        assert not keep([flag, drop], reason)
        assert keep([flag, drop], reason, drop=False)
    for reason in (EndReason.REFUSED, EndReason.FAILED):
        assert not keep([], reason)
        assert not keep([], reason, drop=False)
    assert drop_reasons([drop, flag, drop], EndReason.FAILED) == ("failed", "role_flip")


def test_detail_quotes_little() -> None:
    turns = talk(ASK, ANSWER, "You're welcome! " * 50, CLOSE)
    assert all(len(finding.detail) <= 60 for finding in found(turns))


TEXT = st.text(max_size=200) | st.sampled_from(
    ["[System]", "You're welcome", "as an AI", "I can't book", "再次感谢", "\ud800", "\u0130" * 30]
)


@given(st.lists(st.tuples(st.sampled_from(Role), TEXT), max_size=8), st.sampled_from(["en", "zh"]), TEXT)
@settings(max_examples=200, deadline=None)
def test_any_text_is_judged_without_an_error_and_the_same_way_twice(
    content: list[tuple[Role, str]], language: str, end_prompt: str
) -> None:
    turns = [Turn(role, text) for role, text in content]
    first = found(turns, language=language, end_prompt=end_prompt)
    assert first == found(turns, language=language, end_prompt=end_prompt)
    sides = {Role.USER: "simulator", Role.ASSISTANT: "assistant"}
    assert all(f.turn_index is None or f.side == sides[turns[f.turn_index].role] for f in first)


def hostile_texts() -> list[str]:
    """A megabyte each: every phrase's anchor over and over, and runs that tempt a pattern to back up."""
    known = [v for m in (phrases, rules_simulator) for v in vars(m).values() if isinstance(v, tuple)]
    anchors = [p.anchor for group in known for p in group if isinstance(p, Phrase)]
    each = " ".join(anchors)
    seeds = [each, "我", " ", ".", "[ ", "[ system ", "have a w", "i'm sorry, i can't ", "if i have any "]
    return [(seed * (1_000_000 // len(seed) + 1))[:1_000_000] for seed in seeds]


@pytest.mark.parametrize("text", hostile_texts(), ids=lambda text: repr(text[:8]))
def test_a_megabyte_of_hostile_text_takes_linear_time(text: str) -> None:
    assert text
    took = []
    for size in (len(text) // 8, len(text)):
        start = time.perf_counter()
        found([Turn(Role.USER, text[:size]), Turn(Role.ASSISTANT, text[:size])])
        took.append(time.perf_counter() - start)
    # Eight times the text: a quadratic step would take 64 times as long (seconds become minutes).
    assert took[1] < 30 * took[0] + 0.5
