"""Who used how many tokens of which model: the journal's calls summed by stage, side and model.

What a model costs is not known here. A call that was possibly paid for holds its upper bound, and a reply
without any tokens says that its server does not count them: both are kept apart from what is certain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from engine.config.identity import cells_in, variant_prefix
from engine.journal.facts import Session
from engine.journal.reader import Reader
from engine.schema.call import Usage
from engine.schema.conversation import STAGE, Role
from engine.schema.job import CELL_MARK

_SIDES = {Role.USER.value: "simulator", Role.ASSISTANT.value: "assistant"}
# A debrief's steps name their side, too. What a fork took over (session 0) another run has paid for.
_SUMS = f"""
SELECT stage,
    CASE WHEN stage<>'{STAGE}' THEN '' WHEN step LIKE '%user-%' THEN 'user' ELSE 'assistant' END AS side,
    CASE WHEN stage='{STAGE}' AND instr(item,'{CELL_MARK}')
        THEN substr(item, instr(item,'{CELL_MARK}')+1) ELSE '' END AS cell,
    sum(kind='reply'), sum(kind='possibly_paid'),
    sum(kind IN ('reply','possibly_paid') AND prompt_tokens+completion_tokens=0),
    sum(CASE WHEN kind='reply' THEN prompt_tokens ELSE 0 END),
    sum(CASE WHEN kind='reply' THEN completion_tokens ELSE 0 END),
    sum(min(cached_tokens, prompt_tokens)),
    sum(CASE WHEN kind='possibly_paid' THEN prompt_tokens ELSE 0 END),
    sum(CASE WHEN kind='possibly_paid' THEN completion_tokens ELSE 0 END)
FROM calls WHERE session<>0 GROUP BY stage, side, cell ORDER BY stage, side, cell
"""  # noqa: S608 - a constant

_BY_ITEM = f"""
SELECT item, CASE WHEN step LIKE '%user-%' THEN 'user' ELSE 'assistant' END AS side,
    sum(prompt_tokens), sum(completion_tokens), sum(min(cached_tokens, prompt_tokens))
FROM calls WHERE stage='{STAGE}' AND kind='reply' GROUP BY item, side
"""  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class CallSource:
    """What asks one model: a stage, or one side of the conversations; in a matrix, one variant of a side."""

    stage: str
    side: str
    model: str
    max_tokens: int
    variant: str = ""

    @property
    def key(self) -> str:
        """What its largest reservation is on record under."""
        return f"{self.side}@{self.variant}" if self.variant else self.side or self.stage


@dataclass(frozen=True, slots=True)
class SourceUsage:
    """The calls of one source. `possibly` are the bounds of calls that may have been paid for.

    `uncounted` calls were or may have been paid for, and nobody knows how many tokens they took; `largest` is
    the most that one call of the source reserved. In a matrix a source has sums for each `cell`.
    """

    source: CallSource
    cell: str
    replies: int
    possibly_paid: int
    uncounted: int
    usage: Usage
    possibly: Usage
    largest: Usage

    @property
    def lost(self) -> Usage:
        """The most that all calls together can have taken of which nobody knows."""
        return Usage(
            self.possibly.prompt_tokens + self.uncounted * self.largest.prompt_tokens,
            self.possibly.completion_tokens + self.uncounted * self.largest.completion_tokens,
        )


def source_of(reader: Reader, stage: str, side: str, cell: str = "") -> CallSource:
    """Which model a source of calls asks, as the run's identity has it; an empty name where it has none."""
    fields = reader.identity(stage)
    variant = cells_in(fields).get(cell, ("", ""))[side != Role.USER] if cell else ""
    return _source(fields, stage, side, variant)


def _source(fields: Mapping[str, str], stage: str, side: str, variant: str) -> CallSource:
    prefix = variant_prefix(_SIDES[side], variant) if side else "model."
    return CallSource(
        stage, side, str(_value(fields.get(f"{prefix}model")) or ""),
        int(str(_value(fields.get(f"{prefix}max_tokens")) or 0)), variant,
    )  # fmt: skip


def read_usage(reader: Reader) -> list[SourceUsage]:
    """The sums of all sources; reads every row once."""
    found = []
    for stage, side, cell, *numbers in reader.sums(_SUMS):
        counts = [int(str(number)) for number in numbers]
        replies, possibly_paid, uncounted, prompt, completion, cached, *possibly = counts
        source = source_of(reader, str(stage), str(side), str(cell))
        found.append(
            SourceUsage(
                source, str(cell), replies, possibly_paid, uncounted, Usage(prompt, completion, cached),
                Usage(*possibly), largest_call(reader, source),
            )
        )  # fmt: skip
    return found


def usage_by_conversation(reader: Reader) -> Iterator[tuple[str, str, Usage]]:
    """(conversation's id, side, tokens of all its replies), gates' attempts and debriefs among them."""
    for item, side, *numbers in reader.sums(_BY_ITEM):
        yield str(item), str(side), Usage(*(int(str(number)) for number in numbers))


def largest_call(reader: Reader, source: CallSource) -> Usage:
    """The most that one call of a source can have taken: its largest reservation, of which a reply a part."""
    tokens = int(reader.meta(reservation_key(source.key)) or 0)
    return Usage(max(0, tokens - source.max_tokens), source.max_tokens)


def largest_calls(reader: Reader) -> list[tuple[CallSource, Usage]]:
    """The largest call of each source that ever reserved one, also where none of its calls came back."""
    prefix = reservation_key("")
    found = []
    for (key,) in list(reader.sums(f"SELECT key FROM meta WHERE key LIKE '{prefix}%' ORDER BY key")):  # noqa: S608
        name = str(key).removeprefix(prefix)
        side, _, variant = name.partition("@")
        of_side = side in _SIDES
        fields = reader.identity(STAGE if of_side else name)
        source = _source(fields, STAGE, side, variant) if of_side else _source(fields, name, "", "")
        found.append((source, largest_call(reader, source)))
    return found


def reservation_key(source: str) -> str:
    """Where the journal's `meta` has the most tokens that a call of a side or a stage has reserved."""
    return f"largest_reservation.{source}"


def in_flight_at_kills(sessions: Sequence[Session], *, is_held: bool) -> int:
    """How many calls may have been in the air, and paid for, when processes were killed: an upper bound.

    No row is written before a send, so a session without an end counts with its whole concurrency; the
    last one does not while its process is at work.
    """
    unclean = [session for session in sessions if session.ended_at is None]
    if is_held and unclean and unclean[-1] is sessions[-1]:
        unclean.pop()
    return sum(session.concurrency for session in unclean)


def _value(text: str | None) -> object:
    return None if text is None else orjson.loads(text)
