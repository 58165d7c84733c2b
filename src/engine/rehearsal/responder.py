"""The reply to a request, as a pure function of the server's seed, the defect rate and the request.

Speakers write the turns; this module decides what is due instead: the goodbye, a defect, an answer to a
question outside the dialogue. The goodbye is drawn anew at each request with the task's hazard.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from engine.rehearsal.asked import Asked
from engine.rehearsal.assistant import write_assistant_turn
from engine.rehearsal.defects import Defect, assistant_flaw, is_cured, simulator_flaw
from engine.rehearsal.dice import Dice, hash64
from engine.rehearsal.figures import end_hazard
from engine.rehearsal.judge import judge
from engine.rehearsal.profile_writer import write_profiles
from engine.rehearsal.simulator import current_topic, write_thanks, write_user_turn
from engine.rehearsal.tastes import statements
from engine.rehearsal.tokens import MESSAGE_OVERHEAD, cut_to_tokens, estimate_tokens
from engine.rehearsal.view import AssistantView, QuestionView, SimulatorView, view_of
from engine.rehearsal.vocabulary.catalogue import LANGUAGES, language_of


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said and what it counts; `digest` identifies request and server seed, for ids and delays."""

    text: str
    finish_reason: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    digest: int


def answer(
    asked: Asked, *, seed: int, defect_rate: float, run_seed: int = 0, judge_error_rate: float = 0.0
) -> Answer:
    """Equal requests get equal answers, whatever came before."""
    digest = hash64(seed, asked.digest_input)
    dice = Dice(digest)
    view: SimulatorView | AssistantView | QuestionView | None = None
    judged = judge(asked.messages, dice, judge_error_rate)
    profiles = write_profiles(asked.messages, dice, seed, defect_rate) if judged is None else None
    if judged is not None:
        text, finish_reason = judged, "stop"
    elif profiles is not None:
        text, finish_reason = profiles
    else:
        view = view_of(asked.messages)
        text, finish_reason = _speak(view, asked, dice, seed, defect_rate, run_seed)
    if asked.max_tokens is not None and estimate_tokens(text) > asked.max_tokens:
        text, finish_reason = cut_to_tokens(text, asked.max_tokens), "length"
    counts = [estimate_tokens(message.text) + MESSAGE_OVERHEAD for message in asked.messages]
    prompt_tokens = sum(counts)
    # A provider's cache holds what the previous request of this dialogue ended with.
    has_earlier_turns = isinstance(view, SimulatorView | AssistantView) and bool(view.own_turns)
    return Answer(
        text=text,
        finish_reason=finish_reason,
        prompt_tokens=prompt_tokens,
        cached_tokens=prompt_tokens - sum(counts[-2:]) if has_earlier_turns else 0,
        completion_tokens=estimate_tokens(text),
        digest=digest,
    )


def _speak(
    view: SimulatorView | AssistantView | QuestionView,
    asked: Asked,
    dice: Dice,
    seed: int,
    defect_rate: float,
    run_seed: int,
) -> tuple[str, str]:
    """The text and its finish reason."""
    if isinstance(view, SimulatorView):
        return _simulate(view, asked, dice, seed, defect_rate, run_seed)
    if isinstance(view, AssistantView):
        return _assist(view, asked, dice, seed, defect_rate), "stop"
    return _answer_question(view, dice), "stop"


def _simulate(
    view: SimulatorView, asked: Asked, dice: Dice, seed: int, defect_rate: float, run_seed: int
) -> tuple[str, str]:
    flaw = simulator_flaw(seed, defect_rate, view.setup, asked.cache_key)
    conversation = Dice(_order(seed, view.setup, asked.cache_key))
    turn = len(view.own_turns) + 1
    if flaw is not None and flaw.turn <= turn <= flaw.last_turn and not is_cured(asked, turn, run_seed):
        return _misspeak(flaw.kind, view, conversation, dice)
    if flaw is not None and flaw.kind is Defect.COURTESY_LOOP and turn > flaw.last_turn:
        return view.end_phrase, "stop"
    may_end = turn > 1 and (flaw is None or turn > flaw.last_turn)
    if may_end and dice.uniform() < end_hazard(view.topic.task, turn - 1):
        return view.end_phrase, "stop"
    language = view.language
    if flaw is not None and flaw.kind is Defect.WRONG_LANGUAGE and turn > flaw.turn:
        language = language_of(view.own_turns[-1])  # once drifted, always
    return write_user_turn(view, conversation, dice, language), "stop"


def _misspeak(kind: Defect, view: SimulatorView, conversation: Dice, dice: Dice) -> tuple[str, str]:
    """The turn at which the simulator's defect shows."""
    frames = LANGUAGES[view.language]
    if kind is Defect.TOO_SHORT:
        return view.end_phrase, "stop"
    if kind is Defect.PARROTED_PROMPT and view.end_prompt:
        return view.end_prompt, "stop"
    if kind is Defect.EXACT_REPEAT and view.own_turns:
        return view.own_turns[-1], "stop"
    if kind is Defect.COURTESY_LOOP:
        return write_thanks(view, conversation), "stop"
    pool = {
        Defect.ROLE_FLIP: frames.flips,
        Defect.SYSTEM_NOTE: frames.system_notes,
        Defect.AI_SELF_REFERENCE: frames.as_an_ai,
    }.get(kind)
    if pool is not None:
        return dice.choose(pool).format(topic=current_topic(view, conversation)), "stop"
    language = _other(view.language) if kind is Defect.WRONG_LANGUAGE else view.language
    text = write_user_turn(view, conversation, dice, language)
    return (_break_off(text), "length") if kind is Defect.CUT_OFF else (text, "stop")


def _assist(view: AssistantView, asked: Asked, dice: Dice, seed: int, defect_rate: float) -> str:
    if view.is_to_repeat and view.own_turns:
        return view.own_turns[0]
    flaw = assistant_flaw(seed, defect_rate, view.opening, asked.cache_key)
    if flaw is not None and flaw.turn == len(view.own_turns) + 1:
        frames = LANGUAGES[view.language]
        pool = frames.plays_user if flaw.kind is Defect.PLAYS_USER else frames.refusals
        return dice.choose(pool).format(topic=dice.choose(view.topic.words.facets).topic)
    conversation = Dice(_order(seed, view.opening, asked.cache_key))
    return write_assistant_turn(view, conversation, dice)


def _answer_question(view: QuestionView, dice: Dice) -> str:
    frames = LANGUAGES[view.language]
    if view.kind == "greeting":
        return dice.choose(frames.welcome)
    if view.kind == "short":
        return dice.choose(frames.short_answers)
    words = view.topic.words
    mine = statements(view.profile, words.aspects, view.language)
    # Only somebody with a profile can say what mattered to them.
    pool = frames.debriefs if mine else frames.debriefs[1:]
    taste = dice.choose(mine).text if mine else ""
    return dice.choose(pool).format(taste=taste, topic=dice.choose(words.facets).topic)


@lru_cache(maxsize=2048)
def _order(seed: int, start: str, cache_key: str) -> int:
    """What fixes the order of frames in the conversation that starts with this text."""
    return hash64(seed, b"order", start.encode(), cache_key.encode())


def _break_off(text: str) -> str:
    """About three fifths of the text, ending inside a word."""
    at = len(text) * 3 // 5
    while at > 1 and not (text[at - 1].isalpha() and text[at].isalpha()):
        at -= 1
    return text[:at]


def _other(language: str) -> str:
    return "en" if language == "zh" else "zh"
