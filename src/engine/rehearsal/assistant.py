"""An assistant's turn: numbered options for what was asked, each with a specific detail and reasons.

What the user asked is found by the facet's words, searched from the end of the turn; names already offered
in the conversation are passed over, and what the user said of themselves returns in the reasons.
"""

from __future__ import annotations

import re
from dataclasses import replace

from engine.rehearsal.dice import Dice
from engine.rehearsal.figures import SHAPES
from engine.rehearsal.recall import Recalled, recall
from engine.rehearsal.simulator import option_names
from engine.rehearsal.tokens import estimate_tokens
from engine.rehearsal.view import AssistantView
from engine.rehearsal.vocabulary.catalogue import LANGUAGES
from engine.rehearsal.vocabulary.form import Facet, Item, Language, TaskWords

MIN_OPTIONS = 3
MAX_OPTIONS = 8
_TOKENS_PER_OPTION = 62
_MIN_TOKENS, _MAX_TOKENS = 80, 900
# At most so many of the user's statements are taken up in a turn, from so many of their latest turns.
_MAX_RECALLED, _TURNS_RECALLED = 2, 2
_THANKS = {"en": re.compile(r"\bthank|\bkind of you", re.I), "zh": re.compile(r"谢")}
_ASKS = re.compile(r"[?？]")
_THANKS_TOKENS = 24


def write_assistant_turn(view: AssistantView, conversation: Dice, dice: Dice) -> str:
    """The next assistant turn, answering the last user turn heard."""
    frames = LANGUAGES[view.language]
    words = view.topic.words
    heard = view.heard[-1] if view.heard else ""
    if view.own_turns and _is_courtesy(heard, view.language):
        pool = frames.courtesies
        return pool[(conversation.below(len(pool)) + len(view.own_turns)) % len(pool)]
    shape = SHAPES[view.topic.task]
    target = dice.lognormal(shape.assistant_tokens, shape.assistant_sd) * shape.assistant_scale
    target = min(max(target, _MIN_TOKENS), _MAX_TOKENS)
    offset = conversation.below(1 << 16) + 3 * len(view.own_turns)
    facet = _asked_facet(words, heard, len(view.own_turns))
    if (
        view.candidates and facet is words.facets[0]
    ):  # what is to be chosen, out of the list that it was given
        facet = replace(facet, items=view.candidates)
    items = _fresh_items(facet, "\n".join(view.own_turns), offset)
    count = min(max(round((target - 40) / _TOKENS_PER_OPTION), MIN_OPTIONS), min(MAX_OPTIONS, len(items)))
    intro = _write_intro(view, frames, heard, dice)
    lead = frames.leads[offset % len(frames.leads)].format(count=count, topic=facet.topic)
    outro = dice.choose(frames.outros)
    frame = estimate_tokens(intro) + estimate_tokens(lead) + estimate_tokens(outro)
    options = _write_options(view, words, frames, items[:count], target - frame, offset, dice)
    spoken = frame + sum(map(estimate_tokens, options))
    if spoken > target * 1.15:
        outro = ""
    tips = []
    for i in range(len(frames.tips)):
        tip = frames.tips[(offset + i) % len(frames.tips)]
        cost = estimate_tokens(tip)
        if spoken + cost / 2 > target:
            break
        tips.append(tip)
        spoken += cost
    closing = frames.joiner.join(part for part in (*tips, outro) if part)
    body = "\n".join(options) if offset & 1 else "\n\n".join(options)
    return "\n\n".join(part for part in (frames.joiner.join((intro, lead)), body, closing) if part)


def _write_options(
    view: AssistantView,
    words: TaskWords,
    frames: Language,
    items: list[Item],
    budget: float,
    offset: int,
    dice: Dice,
) -> list[str]:
    """Each option gets its share of the budget: a name, its detail, then reasons and facts in turn."""
    bold = "**" if offset & 2 else ""
    colon, stop = ("：", "。") if frames.code == "zh" else (": ", ".")
    turns = view.heard[: -_TURNS_RECALLED - 1 : -1]
    said = [each for turn in turns for each in recall(turn, view.language)][:_MAX_RECALLED]
    options: list[str] = []
    left = budget
    for i, item in enumerate(items):
        share = left / (len(items) - i)
        text = f"{i + 1}. {bold}{item.name}{bold}{colon}{item.detail}{stop}"
        cost = estimate_tokens(text)
        for piece in _pieces(words, frames, said, offset + i, i, dice):
            more = estimate_tokens(piece)
            if cost + more / 2 > share:
                break
            text += frames.joiner + piece
            cost += more
        options.append(text)
        left -= cost
    return options


def _pieces(
    words: TaskWords, frames: Language, said: list[Recalled], at: int, i: int, dice: Dice
) -> tuple[str, ...]:
    n = len(frames.reasons)
    reason = frames.reasons[at % n]
    if not i % 2 and i // 2 < len(said):
        taste, about = said[i // 2]
        pool = frames.reasons_note if about else frames.reasons_taste
        reason = pool[(at // 2) % len(pool)].format(taste=taste, about=about)
    facts = words.facts
    bits = dice.bits()
    fact, other = bits % len(facts), 1 + (bits >> 8) % (len(facts) - 1)
    return (
        reason,
        facts[fact].format(n=2 + (bits >> 16) % 8),
        frames.reasons[(at + n // 2) % n],
        facts[(fact + other) % len(facts)].format(n=2 + (bits >> 24) % 8),
    )


def _write_intro(view: AssistantView, frames: Language, heard: str, dice: Dice) -> str:
    """Take up the option that the user named first, if any."""
    if view.own_turns:
        named = [(at, name) for name in option_names(view.own_turns[-1]) if (at := heard.find(name)) >= 0]
        if named:
            return dice.choose(frames.intros_picked).format(pick=min(named)[1])
    return dice.choose(frames.intros)


def _asked_facet(words: TaskWords, heard: str, turn: int) -> Facet:
    """The facet whose word occurs last in the user's turn; none: the next one in order."""
    lowered = heard.lower()
    at, number = max(
        (max(lowered.rfind(word) for word in facet.words), -i) for i, facet in enumerate(words.facets)
    )
    return words.facets[-number] if at >= 0 else words.facets[turn % len(words.facets)]


def _fresh_items(facet: Facet, said_before: str, offset: int) -> list[Item]:
    """The facet's items from a place of the conversation's own, those already offered last."""
    n = len(facet.items)
    turned = [facet.items[(offset + i) % n] for i in range(n)]
    if not said_before:
        return turned
    fresh = [item for item in turned if item.name not in said_before]
    return fresh if len(fresh) >= MIN_OPTIONS else turned


def _is_courtesy(heard: str, language: str) -> bool:
    """Thanks and nothing else."""
    return (
        estimate_tokens(heard) < _THANKS_TOKENS
        and _THANKS[language].search(heard) is not None
        and _ASKS.search(heard) is None
    )
