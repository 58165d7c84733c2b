"""What goes wrong on purpose: one defect for a set share of conversations, known from their set-up alone.

A kind is drawn once per conversation and side, with the turn at which it shows. No goodbye comes before
that turn, so that each drawn defect is really seen and the rate is the rate of defective conversations.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from engine.rehearsal.asked import Asked
from engine.rehearsal.dice import Dice, hash64
from engine.schema.call import CallKey, call_seed
from engine.schema.conversation import STAGE


class Defect(StrEnum):
    """The kinds; the last two are the assistant's."""

    ROLE_FLIP = "role_flip"
    SYSTEM_NOTE = "system_note"
    PARROTED_PROMPT = "parroted_prompt"
    EXACT_REPEAT = "exact_repeat"
    CUT_OFF = "cut_off"
    TOO_SHORT = "too_short"
    COURTESY_LOOP = "courtesy_loop"
    AI_SELF_REFERENCE = "ai_self_reference"
    WRONG_LANGUAGE = "wrong_language"
    PLAYS_USER = "plays_user"
    REFUSES = "refuses"


# Kind, weight, turns (the speaker's own, from 1) at which it may show. The imitated system note was the
# most frequent defect of the release. A refusal and a courtesy loop are often noted, not dropped: rare.
_SIMULATOR = (
    (Defect.ROLE_FLIP, 4, (1, 2)),
    (Defect.SYSTEM_NOTE, 6, (2, 3)),
    (Defect.PARROTED_PROMPT, 2, (2, 3)),
    (Defect.EXACT_REPEAT, 3, (2, 3)),
    (Defect.CUT_OFF, 2, (2, 3)),
    (Defect.TOO_SHORT, 2, (2,)),
    (Defect.COURTESY_LOOP, 1, (3,)),
    (Defect.AI_SELF_REFERENCE, 2, (2, 3)),
    (Defect.WRONG_LANGUAGE, 2, (2, 3)),
)
_ASSISTANT = ((Defect.PLAYS_USER, 2, (1, 2)), (Defect.REFUSES, 1, (1, 2)))
_ASSISTANT_SHARE = 0.1
COURTESY_TURNS = 3
# How often a defect shows again in a turn that is asked for again, and how many attempts are told apart.
_RELAPSE = 0.3
_MOST_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Flaw:
    """A defect and the first turn at which it shows."""

    kind: Defect
    turn: int

    @property
    def last_turn(self) -> int:
        return self.turn + COURTESY_TURNS - 1 if self.kind is Defect.COURTESY_LOOP else self.turn


@lru_cache(maxsize=2048)
def simulator_flaw(seed: int, rate: float, setup: str, cache_key: str) -> Flaw | None:
    """The flaw of the conversation with this set-up, or None for the share `1 - rate` (both sides)."""
    ours = rate * _ASSISTANT_SHARE
    # Independent sides: 1 - (1 - theirs)(1 - ours) = rate.
    theirs = (rate - ours) / (1 - ours)
    return _draw(hash64(seed, b"simulator", setup.encode(), cache_key.encode()), theirs, _SIMULATOR)


@lru_cache(maxsize=2048)
def assistant_flaw(seed: int, rate: float, opening: str, cache_key: str) -> Flaw | None:
    """The assistant's flaw in the conversation that the user opens with this turn."""
    state = hash64(seed, b"assistant", opening.encode(), cache_key.encode())
    return _draw(state, rate * _ASSISTANT_SHARE, _ASSISTANT)


def is_cured(asked: Asked, turn: int, run_seed: int) -> bool:
    """Whether this is a later attempt at the simulator's turn, and one that comes without its defect.

    Nothing in a request says which attempt it is, and equal requests get equal answers; but the seed of each
    attempt follows from the run's seed and the call's key, which can be told from the request.
    """
    item = asked.cache_key.rpartition("/")[0]
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        if call_seed(run_seed, CallKey(STAGE, item, f"user-{turn}", attempt)) == asked.seed:
            return Dice(hash64(run_seed, b"relapse", asked.digest_input)).uniform() >= _RELAPSE
    return False


def _draw(state: int, rate: float, kinds: tuple[tuple[Defect, int, tuple[int, ...]], ...]) -> Flaw | None:
    dice = Dice(state)
    if dice.uniform() >= rate:
        return None
    left = dice.below(sum(weight for _, weight, _ in kinds))
    for kind, weight, turns in kinds:
        left -= weight
        if left < 0:
            return Flaw(kind, dice.choose(turns))
    raise AssertionError("weights do not add up")
