"""Conversations from fixed templates, "system asks, user responds": a baseline that others have to beat.

The user states the task, the system asks for one aspect of the profile after another, the user answers with
the profile's words, and the system sums up what has to be settled. No model is asked. Wordings alternate by
the conversation's id, so that the same plan gives the same text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from engine.schema.conversation import Role
from engine.schema.profile import ASPECTS, Profile
from engine.schema.scenario import Scenario

ROUNDS = 4
_Texts = Mapping[str, Sequence[str]]

_ENGLISH: _Texts = {
    "open": (
        "Hello, I need help with {task}: {goal}.",
        "I am looking for help with {task}. What I want to settle: {goal}.",
        "Can you help me with {task}? I have to settle {goal}.",
    ),
    "ask": (
        "Sure. What are your {aspect}?",
        "Please tell me about your {aspect}.",
        "To recommend something I need to know: your {aspect}?",
    ),
    "answer": ("{text}.", "My {aspect}: {text}.", "{text}, that is me."),
    "sum": (
        "Given {facts}, I recommend something that fits. We would settle: {goal}.",
        "I have noted {facts}. Here is what I suggest to settle with that in mind: {goal}.",
    ),
}
_CHINESE: _Texts = {
    "open": (
        "你好，我需要{task}方面的帮助：{goal}。",
        "我想请你帮我{task}，要确定{goal}。",
        "关于{task}，我要定下{goal}，可以帮我吗？",
    ),
    "ask": (
        "好的，请问您的{aspect}是什么？",
        "请告诉我您的{aspect}。",
        "为了给您推荐，我需要了解您的{aspect}。",
    ),
    "answer": ("{text}。", "我的{aspect}：{text}。", "{text}，就是这样。"),
    "sum": ("根据{facts}，我为您推荐合适的方案，需要确定：{goal}。", "已记录{facts}。我的建议涵盖：{goal}。"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One turn."""

    role: Role
    text: str


def template_conversation(
    conversation_id: str, scenario: Scenario, profile: Profile, *, rounds: int = ROUNDS
) -> list[Line]:
    """The turns: `rounds` user turns (1 to 7), each answered by the system, the last by its summary."""
    random = Random(conversation_id)
    is_chinese = scenario.language == "zh"
    texts = _CHINESE if is_chinese else _ENGLISH
    goal = ("、" if is_chinese else ", ").join(scenario.requirements) or scenario.task_name
    asked = [aspect for aspect in ASPECTS if aspect.key not in ("gender", "age")]
    asked = random.sample(asked, max(0, min(rounds - 1, len(asked))))

    def line(role: Role, kind: str, **values: str) -> Line:
        return Line(role, random.choice(texts[kind]).format_map(values))

    turns = [line(Role.USER, "open", task=scenario.task_name, goal=goal)]
    facts = []
    for aspect in asked:
        label = aspect.label(scenario.language)
        label = label if is_chinese else label.lower()
        text = profile.aspects[aspect.key].rstrip(".。")
        turns.append(line(Role.ASSISTANT, "ask", aspect=label))
        turns.append(line(Role.USER, "answer", aspect=label, text=text))
        facts.append(text)
    turns.append(
        line(Role.ASSISTANT, "sum", goal=goal, facts=("；" if is_chinese else "; ").join(facts) or goal)
    )
    return turns
