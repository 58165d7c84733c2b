"""A user's turn: react to the reply by naming one of its options, say something of oneself, ask on.

Whoever hears the same options word by word once more objects: it is all that is noticed of poor help.

Frames that must not recur within a conversation are walked in an order that the conversation fixes, a few
steps per turn; what may vary freely is drawn from the request.
"""

from __future__ import annotations

import re

from engine.rehearsal.dice import Dice
from engine.rehearsal.figures import (
    FIRST_USER_SD,
    FIRST_USER_TOKENS,
    LATER_USER_SPREAD,
    SHAPES,
)
from engine.rehearsal.tastes import Statement, lower_first, statements, without_profile
from engine.rehearsal.tokens import estimate_tokens
from engine.rehearsal.view import SimulatorView
from engine.rehearsal.vocabulary.catalogue import LANGUAGES, topic_of
from engine.rehearsal.vocabulary.form import Language, TaskWords

_OPTION = re.compile(r"\d{1,2}[.)、．]\s*(?:\*\*)?([^*:：–—]{2,60})(?:\*\*)?\s*(?:[:：–—]|$)")
_NUMBER = re.compile(r"\d+")
_SOUNDS_LIKE_YOU = re.compile(r"uni(?!n)|us|eu|one", re.I)
# Steps per turn along the remarks, and a stride that visits all of a pool of any size in use.
_REMARKS_PER_TURN = 5
_MAX_TOKENS = 340


def write_user_turn(view: SimulatorView, conversation: Dice, dice: Dice, language: str) -> str:
    """The next user turn. `conversation` is seeded by the set-up, `dice` by the request."""
    words = (
        view.topic.words
        if language == view.language
        else topic_of(without_profile(view.setup), language).words
    )
    frames = LANGUAGES[language]
    offset = conversation.below(1 << 16)
    mine = statements(view.profile, words.aspects, language) if language == view.language else ()
    if not view.own_turns:
        return _write_opening(view, words, frames, offset, dice, mine)
    return _write_later(view, words, frames, offset, dice, mine)


def write_thanks(view: SimulatorView, conversation: Dice) -> str:
    """One of several thanks without content, another at each turn."""
    pool = LANGUAGES[view.language].thanks
    return pool[(conversation.below(len(pool)) + len(view.own_turns)) % len(pool)]


def current_topic(view: SimulatorView, conversation: Dice) -> str:
    """What the next turn would ask about, as a noun phrase."""
    facets = view.topic.words.facets
    return facets[_facet_number(conversation.below(1 << 16), len(view.own_turns), len(facets))].topic


def option_names(reply: str) -> list[str]:
    """The names of the numbered options in an assistant's turn, in order."""
    starts = (line.lstrip() for line in reply.split("\n"))
    matches = (_OPTION.match(line) for line in starts if line[:1].isdigit())
    return [match[1].strip() for match in matches if match]


def _write_opening(
    view: SimulatorView,
    words: TaskWords,
    frames: Language,
    offset: int,
    dice: Dice,
    mine: tuple[Statement, ...],
) -> str:
    shape = SHAPES[view.topic.task]
    target = min(dice.lognormal(FIRST_USER_TOKENS, FIRST_USER_SD), 160) * shape.user_scale
    parts = [dice.choose(frames.greetings), dice.choose(words.openings)]
    ask = dice.choose(words.facets[0].asks)
    if mine:
        parts.append(_say(mine[offset % len(mine)], frames, offset))
    profile = dict(view.profile)
    occupation, age = profile.get("occupation"), _NUMBER.search(profile.get("age", ""))
    if occupation and age:
        about = dice.choose(frames.introductions).format(
            age=age[0], occupation=_with_article(occupation, frames)
        )
        _add_up_to(target, parts, ask, [about])
    more = [words.wishes[(offset + i) % len(words.wishes)] for i in range(3)]
    _add_up_to(target, parts, ask, more)
    return frames.joiner.join([*parts, ask])


def _write_later(
    view: SimulatorView,
    words: TaskWords,
    frames: Language,
    offset: int,
    dice: Dice,
    mine: tuple[Statement, ...],
) -> str:
    shape = SHAPES[view.topic.task]
    mean = shape.later_user_tokens
    target = min(dice.lognormal(mean, LATER_USER_SPREAD * mean), _MAX_TOKENS) * shape.user_scale
    turn = len(view.own_turns)
    options = option_names(view.heard)
    slots = _pick(options, dice)
    if view.is_heard_again and options:
        parts = [frames.objections[(offset + turn) % len(frames.objections)]]
    elif slots:
        picks = frames.picks_part if _are_parts(words, options[0]) else frames.picks
        parts = [picks[(offset + turn) % len(picks)].format_map(slots)]
    else:
        parts = [frames.reactions[(offset + turn) % len(frames.reactions)]]
    if mine:
        parts.append(_say(mine[(offset + turn) % len(mine)], frames, offset + turn))
    number = _facet_number(offset, turn, len(words.facets))
    facet = words.facets[number]
    if turn < len(words.facets):
        ask = dice.choose(facet.asks)
    else:
        ask = frames.asks_again[(offset + turn) % len(frames.asks_again)].format(topic=facet.topic)
    _add_up_to(target, parts, ask, _remarks(words, frames, offset + dice.below(2), turn, slots))
    return frames.joiner.join([*parts, ask])


def _add_up_to(target: float, parts: list[str], ask: str, more: list[str]) -> None:
    """Append sentences while that brings the turn nearer to `target` tokens."""
    spoken = sum(map(estimate_tokens, parts)) + estimate_tokens(ask)
    for sentence in more:
        cost = estimate_tokens(sentence)
        if spoken + cost / 2 > target:
            break
        parts.append(sentence)
        spoken += cost


def _remarks(words: TaskWords, frames: Language, offset: int, turn: int, slots: dict[str, str]) -> list[str]:
    """Remarks of this turn: two general ones, then one on the task, in the conversation's order."""
    general = frames.remarks if slots else frames.remarks[:-2]
    start = offset + turn * _REMARKS_PER_TURN
    remarks = []
    for i in range(18):
        if i % 3 == 2:
            remarks.append(words.wishes[(offset + turn * 2 + i // 3) % len(words.wishes)])
        else:
            remark = general[(start + i - i // 3) * 7 % len(general)]
            remarks.append(remark.format_map(slots) if slots else remark)
    return list(dict.fromkeys(remarks))


def _pick(options: list[str], dice: Dice) -> dict[str, str]:
    if len(options) < 2:
        return {}
    first = dice.below(len(options))
    second = (first + 1 + dice.below(len(options) - 1)) % len(options)
    return {"pick": options[first], "other": options[second]}


def _facet_number(offset: int, turn: int, n: int) -> int:
    """Facet 0 first, then the others in a rotation of the conversation's own; later once more."""
    if turn % n == 0:
        return 0
    return 1 + (offset + turn) % (n - 1)


def _say(statement: Statement, frames: Language, at: int) -> str:
    """The statement in a frame that suits its form."""
    if statement.is_note:
        frame = frames.notes[at % len(frames.notes)]
        return _capital(frame.format(about=frames.about[statement.aspect], taste=statement.text))
    return frames.tastes[at % len(frames.tastes)].format(taste=statement.text)


def _are_parts(words: TaskWords, name: str) -> bool:
    """Whether the option of this name belongs to a plan of several parts."""
    return any(facet.in_parts and any(item.name == name for item in facet.items) for facet in words.facets)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _with_article(occupation: str, frames: Language) -> str:
    if frames.code != "en":
        return occupation
    is_vowel = occupation[:1].lower() in "aeiou" and not _SOUNDS_LIKE_YOU.match(occupation)
    return ("an " if is_vowel else "a ") + lower_first(occupation)
