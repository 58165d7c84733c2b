"""What a run looks like at this moment, from its journal alone: rate, ETA, slowest conversations, errors.

A look costs what has happened since the one before, and memory what is unfinished. The first one reads from
the low-water mark on; the calls before it are counted backwards, a part with each look, and `counted` says
how far that is. Nothing is scanned twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson

from engine.journal.facts import CallFacts, OutcomeFacts, Session
from engine.journal.inputs import stored_plan
from engine.journal.reader import Reader
from engine.journal.usage import source_of
from engine.llm.prices import PRICES, Price, decode_prices, usd
from engine.schema.call import CallKind, Usage
from engine.schema.conversation import STAGE, EndReason, Role
from engine.schema.job import cell_of

# Rates are taken over the first of these spans (seconds) that holds enough; conversations may be slow.
_SPANS_S = (300.0, 900.0, 3600.0)
_ENOUGH = 10
_SLOT_S = 10.0
# A look at old rows takes well under a second with so many.
_CALLS_A_LOOK = 20_000
_OUTCOMES_AT_FIRST = 20_000
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class SlowConversation:
    """An unfinished conversation, its age since its first call in seconds, and its replies so far."""

    item: str
    age_s: float
    turns: int


@dataclass(frozen=True, slots=True)
class Mishap:
    """A call that brought no reply, or the failure that ended a conversation."""

    at: float
    item: str
    step: str
    text: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The facts. Rates and `eta_s` are None where nothing is known; `counted` is the share of call rows."""

    state: str
    planned: int
    ended: int
    unfinished: int
    end_reasons: dict[str, int]
    conversations_per_min: float | None
    calls_per_s: float | None
    eta_s: float | None
    slowest: tuple[SlowConversation, ...]
    mishaps: tuple[Mishap, ...]
    calls: int
    failed_calls: int
    possibly_paid_calls: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    counted: float
    cost_usd: float | None = None


@dataclass(slots=True)
class _Begun:
    first_at: float
    replies: int = 0


@dataclass(slots=True)
class Recent:
    """How many things happened lately, by slots of 10 s, since `begin`; complete from `known_since` on."""

    begin: float = 0.0
    known_since: float = 0.0
    slots: dict[int, int] = field(default_factory=dict)

    def add(self, at: float) -> None:
        """Count one thing."""
        if at >= self.begin:
            slot = int(at // _SLOT_S)
            self.slots[slot] = self.slots.get(slot, 0) + 1

    def per_s(self, now: float) -> float | None:
        """Things per second over the shortest span that holds enough; None where there was none."""
        oldest = (now - _SPANS_S[-1]) // _SLOT_S
        for slot in [slot for slot in self.slots if slot < oldest]:
            del self.slots[slot]
        rate = None
        for span_s in _SPANS_S:
            begin = max(self.begin, self.known_since, (now - span_s) // _SLOT_S * _SLOT_S)
            count = sum(count for slot, count in self.slots.items() if (slot + 1) * _SLOT_S > begin)
            if count:
                rate = count / max(now - begin, 1.0)
            if count >= _ENOUGH:
                break
        return rate


class RunWatch:
    """Looks at one run again and again; each `look` is in time with the journal."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._planned = 0
        self._session = 0
        self._next_call = 0
        self._next_outcome = 0
        self._uncounted = 0
        self._begun: dict[str, _Begun] = {}
        self._by_result: dict[str, int] = {}
        self._mishaps: dict[tuple[str, str], Mishap] = {}
        self._ended = Recent()
        self._replied = Recent()
        self._kinds: dict[str, int] = {}
        self._tokens = [0, 0, 0]
        self._cost = 0
        self._prices: dict[tuple[str, str], Price | None] = {}

    def look(self, now: float, *, is_held: bool) -> Overview:
        """The run at Unix time `now`; `is_held` says whether a process works on it."""
        with self._reader.snapshot():
            sessions = self._reader.sessions()
            if sessions and sessions[-1].session != self._session:
                self._begin_session(sessions[-1])
            if self._next_call == 0:
                self._read_first(now)
            else:
                self._read_new()
            self._count_back()
            is_paused = self._reader.meta("paused") == "yes"
        return self._overview(now, sessions, is_held=is_held, is_paused=is_paused)

    def _begin_session(self, session: Session) -> None:
        self._session = session.session
        plan = stored_plan(self._reader)
        self._planned = 0 if plan is None else len(plan)
        prices = decode_prices(self._reader.meta(PRICES))
        cells = ("",) if plan is None or not plan.cells else plan.cells
        self._prices = {
            (side, cell): prices.get(source_of(self._reader, STAGE, side, cell).model)
            for side in Role for cell in cells
        }  # fmt: skip
        # What another process did says little about this one's rate.
        self._ended = Recent(session.started_at)
        self._replied = Recent(session.started_at)

    def _read_first(self, now: float) -> None:
        _, last_outcome, low_water = self._reader.last()
        self._by_result = self._reader.counts_by_result(STAGE)
        first_behind = last_outcome + 1
        for number, outcome in enumerate(self._reader.newest_outcome_facts(STAGE)):
            is_behind = outcome.as_of > low_water
            if is_behind:
                first_behind = outcome.seq
            is_recent = number < _OUTCOMES_AT_FIRST and outcome.ended_at > now - _SPANS_S[-1]
            if is_recent:
                self._note_outcome(outcome)
            elif number == _OUTCOMES_AT_FIRST:
                self._ended.known_since = outcome.ended_at
            if not is_behind and not is_recent:
                break
        self._next_outcome = last_outcome + 1
        self._next_call = self._uncounted = max(low_water, 1)
        for call, ended in self._merged(first_behind):
            self._take(call, ended)

    def _read_new(self) -> None:
        for call, ended in self._merged(self._next_outcome):
            self._take(call, ended)
            if ended is not None:
                self._next_outcome = ended.seq + 1
                self._note_outcome(ended)
                self._by_result[ended.result] = self._by_result.get(ended.result, 0) + 1
                before = self._reader.result_before(STAGE, ended.item, ended.seq)
                if before is not None:
                    self._by_result[before] -= 1

    def _merged(self, first_outcome: int) -> Iterator[tuple[CallFacts | None, OutcomeFacts | None]]:
        """New calls and the outcomes from `first_outcome` on in the order in which they were numbered."""
        outcomes = self._reader.outcome_facts_from(STAGE, first_outcome)
        waiting = next(outcomes, None)
        for call in self._reader.call_facts_from(STAGE, self._next_call):
            while waiting is not None and waiting.as_of <= call.seq:
                yield None, waiting
                waiting = next(outcomes, None)
            yield call, None
        while waiting is not None:
            yield None, waiting
            waiting = next(outcomes, None)

    def _take(self, call: CallFacts | None, ended: OutcomeFacts | None) -> None:
        if ended is not None:
            self._begun.pop(ended.item, None)
        if call is not None:
            self._next_call = call.seq + 1
            begun = self._begun.setdefault(call.item, _Begun(call.sent_at))
            begun.replies += call.kind == CallKind.REPLY
            self._count(call)

    def _count_back(self) -> None:
        """Count some of the calls before the low-water mark that were not counted yet."""
        if self._uncounted <= 1:
            return
        oldest = 0.0
        for call in self._reader.call_facts_before(STAGE, self._uncounted, _CALLS_A_LOOK):
            self._count(call)
            oldest = call.sent_at
        self._uncounted = max(1, self._uncounted - _CALLS_A_LOOK)
        self._replied.known_since = oldest if self._uncounted > 1 else 0.0

    def _count(self, call: CallFacts) -> None:
        self._kinds[call.kind] = self._kinds.get(call.kind, 0) + 1
        if call.kind == CallKind.REPLY:
            self._tokens[0] += call.prompt_tokens
            self._tokens[1] += call.completion_tokens
            self._tokens[2] += call.cached_tokens
            side = Role.USER if "user-" in call.step else Role.ASSISTANT
            if (price := self._prices.get((side, cell_of(call.item)))) is not None:
                self._cost += price.cost(
                    Usage(call.prompt_tokens, call.completion_tokens, call.cached_tokens)
                )
            self._replied.add(call.sent_at + call.latency_s)
        else:
            text = (call.note or b"").decode("utf-8", "replace")
            self._note_mishap(Mishap(call.sent_at, call.item, call.step, text))

    def _note_outcome(self, outcome: OutcomeFacts) -> None:
        self._ended.add(outcome.ended_at)
        if outcome.result == EndReason.FAILED and outcome.note:
            self._note_mishap(_failure_of(outcome))

    def _note_mishap(self, mishap: Mishap) -> None:
        """Keep the newest few, each question once."""
        kept = self._mishaps
        earlier = kept.get((mishap.item, mishap.step))
        if earlier is None or earlier.at < mishap.at:
            kept[mishap.item, mishap.step] = mishap
        if len(kept) > _SHOWN:
            del kept[min(kept, key=lambda key: kept[key].at)]

    def _overview(self, now: float, sessions: list[Session], *, is_held: bool, is_paused: bool) -> Overview:
        ended = sum(self._by_result.values())
        remaining = max(0, self._planned - ended)
        state = "being worked on" if is_held else "stopped" if remaining else "complete"
        if is_held and is_paused:
            state = "paused"
        elif state == "stopped" and sessions and sessions[-1].ended_at is None:
            state = "killed"
        per_s = self._ended.per_s(now) if is_held else None
        slowest = sorted(self._begun.items(), key=lambda begun: begun[1].first_at)[:_SHOWN]
        return Overview(
            state=state,
            planned=self._planned,
            ended=ended,
            unfinished=len(self._begun),
            end_reasons={result: count for result, count in sorted(self._by_result.items()) if count},
            conversations_per_min=None if per_s is None else per_s * 60,
            calls_per_s=self._replied.per_s(now) if is_held else None,
            eta_s=None if not per_s or state == "paused" else remaining / per_s,
            slowest=tuple(
                SlowConversation(item, max(0.0, now - begun.first_at), begun.replies)
                for item, begun in slowest
            ),
            mishaps=tuple(sorted(self._mishaps.values(), key=lambda mishap: -mishap.at)),
            calls=self._kinds.get(CallKind.REPLY, 0),
            failed_calls=self._kinds.get(CallKind.FAILED, 0),
            possibly_paid_calls=self._kinds.get(CallKind.POSSIBLY_PAID, 0),
            prompt_tokens=self._tokens[0],
            completion_tokens=self._tokens[1],
            cached_tokens=self._tokens[2],
            counted=1.0 if self._next_call <= 1 else 1 - (self._uncounted - 1) / (self._next_call - 1),
            cost_usd=usd(self._cost) if any(self._prices.values()) else None,
        )

    def __repr__(self) -> str:
        return f"RunWatch({sum(self._by_result.values())} of {self._planned} ended, {len(self._begun)} begun)"


def last_failure(reader: Reader) -> Mishap | None:
    """The failure that ended a conversation last, of those that have failed to this day."""
    for outcome in reader.newest_outcome_facts(STAGE):
        if outcome.result != EndReason.FAILED or not outcome.note:
            continue
        if reader.outcomes(STAGE, [outcome.item])[outcome.item].seq == outcome.seq:
            return _failure_of(outcome)
    return None


def _failure_of(outcome: OutcomeFacts) -> Mishap:
    note = orjson.loads(outcome.note)
    return Mishap(outcome.ended_at, outcome.item, str(note.get("step", "")), str(note.get("message", "")))
