"""Turn-taking of one conversation: whose turn it is, what that side sees anew, and whether it has ended.

    state       asked           its reply                              then
    greeting    assistant       is turn 0, stored                      user_turn
    user_turn   simulator       is refused by a gate, not stored       user_turn (the next attempt)
                                is the goodbye, not stored             debrief (goodbye)
                                is user turn k, stored                 assistant_turn
    assistant   assistant       is assistant turn k, stored            user_turn, or debrief (max_rounds)
    debrief     either side     answers a question, stored apart       debrief, or ended
    any         -               was withheld by a content filter       ended (refused)

Each `Ask` carries only the messages that are new to its side, so that requests are prefixes of one
another. Every request alternates and ends with a user message. No I/O, no clock, no randomness: the same
replies give the same conversation, which is what replay rests on (P2, P8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from engine.dialogue.ending import end_check
from engine.dialogue.gates import TurnContext, fired
from engine.dialogue.speech import fold
from engine.schema.conversation import DebriefAnswer, EndReason, Role, Turn
from engine.schema.gate import Firing, GateName
from engine.schema.scenario import Prompts

Message = tuple[str, str]
_WITHHELD = frozenset({"content_filter", "refusal"})


@dataclass(frozen=True, slots=True)
class DialogueRules:
    """How conversations are held. `debrief` holds (side, question) pairs, asked after the end.

    A simulator's reply that one of `gates` refuses is asked for again, `regenerate` times at most.
    """

    setup: str = "modern"
    opener: str = "user"
    max_rounds: int = 10
    strict_end: bool = True
    debrief: tuple[tuple[str, str], ...] = ()
    gates: tuple[GateName, ...] = ()
    regenerate: int = 2
    language: str = "en"


class Ask:
    """The next question: `messages` are new to this side and stay; `aside` is seen this once only.

    A later `attempt` asks the same step of the same messages again.
    """

    __slots__ = ("aside", "attempt", "messages", "side", "step")

    def __init__(
        self,
        side: Role,
        step: str,
        messages: Sequence[Message],
        aside: Sequence[Message] = (),
        attempt: int = 0,
    ) -> None:
        self.side = side
        self.step = step
        self.messages = messages
        self.aside = aside
        self.attempt = attempt

    def __repr__(self) -> str:
        return f"Ask({self.side}, {self.step}, {self.messages!r}, {self.aside!r}, {self.attempt})"


class _State(Enum):
    GREETING = auto()
    USER_TURN = auto()
    ASSISTANT_TURN = auto()
    DEBRIEF = auto()
    ENDED = auto()


class Dialogue:
    """One conversation in progress. Call `begin`, then `answer` with each reply, until it returns None."""

    __slots__ = (
        "_attempt",
        "_check",
        "_debrief_at",
        "_last_reply",
        "_prompts",
        "_round",
        "_rules",
        "_state",
        "_unseen",
        "debrief",
        "end_reason",
        "firings",
        "judged",
        "turns",
    )

    def __init__(self, prompts: Prompts, rules: DialogueRules) -> None:
        self._prompts = prompts
        self._rules = rules
        self._check = end_check(
            end_prompt=prompts.end_prompt, end_phrase=prompts.end_phrase, strict=rules.strict_end
        )
        self._state = _State.GREETING if rules.opener == "assistant" else _State.USER_TURN
        self._round = 0
        self._attempt = 0
        self._debrief_at = -1
        self._last_reply = ""
        # What each side has not been shown yet; taken over by the next ask of that side.
        self._unseen: dict[Role, list[Message]] = {
            Role.USER: _setup(rules.setup, prompts.simulator_setup, prompts.acknowledgement),
            Role.ASSISTANT: _setup(
                rules.setup,
                () if prompts.assistant_setup is None else (prompts.assistant_setup,),
                prompts.acknowledgement,
            ),
        }
        self.turns: list[Turn] = []
        self.debrief: list[DebriefAnswer] = []
        self.end_reason: EndReason | None = None
        # What the gates refused, and how many turns (goodbyes among them) they have let pass in the end.
        self.firings: list[Firing] = []
        self.judged = 0

    @property
    def rounds(self) -> int:
        """User turns that an assistant turn has answered."""
        answered = self.turns[:-1] if self.turns and self.turns[-1].role is Role.USER else self.turns
        return sum(turn.role is Role.USER for turn in answered)

    def begin(self) -> Ask:
        """The first question."""
        if self._state is _State.GREETING:
            return self._ask(Role.ASSISTANT, ("user", self._prompts.assistant_kickoff))
        return self._ask(Role.USER, ("user", self._prompts.simulator_kickoff))

    def answer(self, text: str, finish_reason: str = "stop", *, is_refused: bool | None = None) -> Ask | None:
        """Take the reply to the last question; the next question, or None when all is said.

        `is_refused` is what gates once decided about this reply; None lets them decide now.
        """
        if finish_reason in _WITHHELD and self._state is not _State.DEBRIEF:
            self.end(EndReason.REFUSED)
            return None
        match self._state:
            case _State.GREETING:
                return self._take_greeting(text, finish_reason)
            case _State.USER_TURN:
                return self._take_user_turn(text, finish_reason, is_refused)
            case _State.ASSISTANT_TURN:
                return self._take_assistant_turn(text, finish_reason)
            case _State.DEBRIEF:
                return self._take_debrief(text)
            case _State.ENDED:
                raise RuntimeError("the conversation has ended; nothing was asked")

    def end(self, reason: EndReason) -> None:
        """End here, without a debrief: the reply did not come or cannot be used."""
        self.end_reason = self.end_reason or reason
        self._state = _State.ENDED

    def __repr__(self) -> str:
        return f"Dialogue({self._state.name.lower()}, round {self._round}, {len(self.turns)} turns)"

    # --- the steps, in the order in which they happen ------------------------------------------------

    def _take_greeting(self, text: str, finish_reason: str) -> Ask:
        self._store(Role.ASSISTANT, text, finish_reason)
        self._unseen[Role.ASSISTANT].append(("assistant", text))
        self._state = _State.USER_TURN
        return self._ask(Role.USER, ("user", text))

    def _take_user_turn(self, text: str, finish_reason: str, is_refused: bool | None) -> Ask | None:
        is_goodbye = self._check.is_goodbye(text)
        is_echo = not is_goodbye and self._check.is_parrot(text)
        flags: tuple[str, ...] = ("parrot",) if is_echo else ()
        if self._rules.gates:
            against = self._judge(text, finish_reason, is_goodbye, is_echo, is_refused)
            if self._attempt:
                return Ask(Role.USER, f"user-{self._round + 1}", (), attempt=self._attempt)
            flags += tuple(f"gate:{name}" for name in against)
        self._unseen[Role.USER].append(("assistant", text))
        if is_goodbye:
            return self._finish(EndReason.GOODBYE)
        self._store(Role.USER, text, finish_reason, flags)
        self._round += 1
        self._state = _State.ASSISTANT_TURN
        return self._ask(Role.ASSISTANT, ("user", text))

    def _judge(
        self, text: str, finish_reason: str, is_goodbye: bool, is_echo: bool, is_refused: bool | None
    ) -> tuple[str, ...]:
        """The gates that fire; `_attempt` is then the one to be made, or 0 where this reply stays."""
        context = TurnContext(
            fold(text),
            finish_reason,
            self._round + 1,
            is_goodbye,
            is_echo,
            self._rules.language,
            self._prompts.end_prompt,
            [turn.content for turn in self.turns if turn.role is Role.USER],
            self._last_reply,
        )
        against = fired(self._rules.gates, context)
        if is_refused is None:
            is_refused = bool(against) and self._attempt < self._rules.regenerate
        if against or is_refused:
            step = f"user-{self._round + 1}"
            self.firings.append(Firing(step, self._attempt, against, kept=not is_refused))
        self.judged += not is_refused
        self._attempt = self._attempt + 1 if is_refused else 0
        return against

    def _take_assistant_turn(self, text: str, finish_reason: str) -> Ask | None:
        self._store(Role.ASSISTANT, text, finish_reason)
        self._unseen[Role.ASSISTANT].append(("assistant", text))
        self._last_reply = text
        if self._round >= self._rules.max_rounds:
            return self._finish(EndReason.MAX_ROUNDS)
        self._state = _State.USER_TURN
        return self._ask(Role.USER, ("user", text + before_answer(self._prompts)))

    def _finish(self, reason: EndReason) -> Ask | None:
        self.end_reason = reason
        self._state = _State.DEBRIEF
        return self._next_debrief()

    def _take_debrief(self, text: str) -> Ask | None:
        side, question = self._rules.debrief[self._debrief_at]
        self.debrief.append(DebriefAnswer(Role(side), question, text))
        return self._next_debrief()

    def _next_debrief(self) -> Ask | None:
        self._debrief_at += 1
        if self._debrief_at >= len(self._rules.debrief):
            self._state = _State.ENDED
            return None
        side, question = self._rules.debrief[self._debrief_at]
        if side == "user" and self.end_reason is EndReason.MAX_ROUNDS:
            # The simulator has not seen the last reply; the question comes where the end prompt would.
            question = f"{self._last_reply}\n\n{question}"
        # Answers to other questions are not shown: each is asked on the conversation alone (P8).
        return self._ask(Role(side), aside=("user", question), step=f"debrief-{side}-{self._debrief_at + 1}")

    # --- small parts ----------------------------------------------------------------------------------

    def _ask(
        self, side: Role, message: Message | None = None, *, aside: Message | None = None, step: str = ""
    ) -> Ask:
        new = self._unseen[side]
        if message is not None:
            new.append(message)
        self._unseen[side] = []
        number = self._round + 1 if side is Role.USER else self._round
        return Ask(side, step or f"{side}-{number}", new, () if aside is None else (aside,))

    def _store(self, role: Role, text: str, finish_reason: str, flags: tuple[str, ...] = ()) -> None:
        if finish_reason == "length":
            flags = (*flags, "truncated")
        self.turns.append(Turn(role, text, finish_reason, flags))


def before_answer(prompts: Prompts) -> str:
    """What follows an assistant's turn in what the simulator sees."""
    return f"\n\n{prompts.end_prompt}"


def _setup(style: str, parts: Sequence[str], acknowledgement: str) -> list[Message]:
    """The set-up messages: one system message, or the paper's user messages, each acknowledged."""
    if not parts:
        return []
    if style == "modern":
        return [("system", "\n\n".join(parts))]
    return [message for part in parts for message in (("user", part), ("assistant", acknowledgement))]
