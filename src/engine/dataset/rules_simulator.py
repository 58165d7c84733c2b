"""Rules for the user simulator: it has to stay the user, inside the scenario, and be done when done.

Its slips are the ones that spoil a dataset silently, since its turns are taken for a person's. A
turn spoken in another voice drops the conversation; talk that merely shows the seams is flagged.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.dataset.rules import Fault, Reading, Rule, Utterance, each
from engine.dialogue.phrases import (
    AI_SELF,
    ASSISTANT_VOICE,
    NAMES_THE_MODEL,
    REFUSAL_OF_ROLE,
    SET_UP,
    first,
    phrases,
)
from engine.dialogue.speech import MIN_USER_TURNS, says_stretch

COURTESY_TURNS = 2
"""Closing user turns without content from which an exchange of thanks counts as a loop."""

# A closing turn thanks and says where things go from here; a request or a choice is content.
_CLOSING = phrases(
    ("reach out", r"reach out"),
    ("have a", r"have an? (?:\w{1,20} )?(?:day|evening|time|weekend)"),
    ("kind words", r"kind words"),
    ("well wishes", r"well wishes"),
    ("again", r"(?:thanks?|thank you|once) again"),
    ("once", r"thank you once"),
    ("take care", r"take care"),
    ("bye", r"\bbye\b"),
    ("helpful", r"been (?:so|very|really|incredibly) helpful"),
    ("questions", r"(?:more|further) questions"),
    ("再次", r"再次感谢"),
    ("祝", r"祝(?:你|您)"),
    ("联系", r"联系(?:你|您)"),
)
_THANKS = ("thank", "appreciate", "grateful", "谢", "感激")
_CONTENT = phrases(
    ("?", r"\?"),
    ("？", r"？"),
    ("吗", r"吗"),
    ("could you", r"could you"),
    ("please", r"\bplease\b"),
    ("i'd like", r"i'd (?:like|love)"),
    (
        "but ",
        r"\bbut (?:i (?:would|want|need|don't|can't)|(?:could|can|what|how) |[a-z ]{1,20} (?:is|are)\b)",
    ),
    ("it is", r"\bone it is\b"),
    ("i", r"\bi(?:'ll| will) (?:order|buy|book|take the|choose)\b"),
    ("不过", r"不过"),
    ("i prefer", r"i prefer"),
    ("go with", r"go with"),
    ("going with", r"going with"),
    ("particularly", r"particularly (?:like|drawn|interested|intrigued)"),
    ("really like the", r"really like the"),
    ("i think", r"i think (?:i'll|i will|it would|they would|both|a |an |my |we|that|he |she )"),
    ("let's", r"let's"),
    ("i also", r"i also"),
    ("i like the idea", r"i like the idea"),
    ("我想", r"我想"),
    ("我打算", r"我打算"),
    ("喜欢", r"我(?:更)?喜欢"),
)


def _role_flip(reading: Reading) -> Iterator[Fault]:
    return each(reading.users, lambda u: first(u.own, ASSISTANT_VOICE))


def _imitated_system_note(reading: Reading) -> Iterator[Fault]:
    return each(reading.users, lambda u: "a note labelled as the system's" if u.has_note else None)


def _parroted_end_prompt(reading: Reading) -> Iterator[Fault]:
    def look(utterance: Utterance) -> str | None:
        if "parrot" in utterance.turn.flags:
            return "marked by the dialogue"
        if says_stretch(utterance.text, reading.end_prompt):
            return "says a stretch of the end prompt"
        return None

    return each(reading.users, look)


def _too_short(reading: Reading) -> Iterator[Fault]:
    if len(reading.users) < MIN_USER_TURNS:
        yield None, f"{len(reading.users)} user turns"


def _courtesy_loop(reading: Reading) -> Iterator[Fault]:
    tail = 0
    for utterance in reversed(reading.users):
        if not is_courtesy(utterance.own):
            break
        tail += 1
    if tail >= COURTESY_TURNS:
        yield reading.users[-tail].index, f"{tail} closing turns of thanks"


def is_courtesy(text: str) -> bool:
    """Whether `text` (folded) thanks and closes, and neither asks nor chooses anything."""
    return (
        any(word in text for word in _THANKS)
        and first(text, _CLOSING) is not None
        and first(text, _CONTENT) is None
    )


def _ai_self_reference(reading: Reading) -> Iterator[Fault]:
    return each(reading.users, lambda u: first(u.own, AI_SELF))


def _mentions_llm_user(reading: Reading) -> Iterator[Fault]:
    return each(reading.users, lambda u: first(u.own, NAMES_THE_MODEL))


def _mentions_set_up(reading: Reading) -> Iterator[Fault]:
    return each(reading.users, lambda u: first(u.own, SET_UP))


def _refuses_role(reading: Reading) -> Iterator[Fault]:
    return each(reading.users, lambda u: first(u.own, REFUSAL_OF_ROLE))


SIMULATOR_RULES = (
    Rule("role_flip", "the simulator speaks as the assistant", "simulator", "drop", _role_flip),
    Rule(
        "imitated_system_note",
        "a user turn holds a made-up system note",
        "simulator",
        "drop",
        _imitated_system_note,
    ),
    Rule(
        "parroted_end_prompt", "a user turn repeats the end prompt", "simulator", "drop", _parroted_end_prompt
    ),
    Rule("too_short", "fewer than two user turns", "simulator", "drop", _too_short),
    Rule("courtesy_loop", "the end is an exchange of thanks", "simulator", "flag", _courtesy_loop),
    Rule("ai_self_reference", "the simulator calls itself an AI", "simulator", "drop", _ai_self_reference),
    Rule(
        "mentions_llm_user",
        "the simulator speaks of a language model",
        "simulator",
        "flag",
        _mentions_llm_user,
    ),
    Rule(
        "mentions_set_up", "the simulator speaks of its own task text", "simulator", "flag", _mentions_set_up
    ),
    Rule("refuses_role", "the simulator declines to play the user", "simulator", "flag", _refuses_role),
)
