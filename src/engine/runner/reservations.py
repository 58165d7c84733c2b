"""The most tokens that one call of a run reserves: a limit per minute below that could never admit it.

What each side reserved at most is in the journal's `meta` before it is reserved, so that `engine adjust`, in
a process of its own and also long after, decides as the run itself does. Where nothing is on record yet, the
first prompt of the plan and `max_tokens` say what is certain.
"""

from __future__ import annotations

from engine.config.settings import RunConfig, StageName
from engine.journal.inputs import RunInputs
from engine.journal.journal import Journal
from engine.journal.reader import Reader
from engine.llm.caller import reserved_tokens
from engine.llm.exchange import Exchange
from engine.schema.conversation import Role

_STAGES: dict[Role, StageName] = {Role.USER: "simulator", Role.ASSISTANT: "assistant"}


class Reservations:
    """What is on record of a run; one per session, which alone writes it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._largest = {side: largest_on_record(journal.reader, side) for side in _STAGES}

    async def note(self, side: Role, tokens: int) -> None:
        """Put `tokens` on record, if they are more than ever before; they may be reserved after that."""
        if tokens > self._largest[side]:
            self._largest[side] = tokens
            await self._journal.put_meta(_key(side), str(tokens))

    def fewest_tokens_per_min(self, config: RunConfig, endpoint: str) -> int:
        """The smallest limit that admits every call so far at `endpoint`."""
        return max((self._largest[side] for side in _sides_at(config, endpoint)), default=0)

    def __repr__(self) -> str:
        return f"Reservations({', '.join(f'{side.value} {n:,}' for side, n in self._largest.items())})"


def largest_on_record(reader: Reader, side: Role) -> int:
    """The most tokens that a call of `side` has reserved; 0 where none is on record."""
    return int(reader.meta(_key(side)) or 0)


def fewest_tokens_per_min(reader: Reader, inputs: RunInputs, config: RunConfig, endpoint: str) -> int:
    """The smallest limit that may admit the calls of a run at `endpoint`, from its journal."""
    most = 0
    for side in _sides_at(config, endpoint):
        max_tokens = config.stages[_STAGES[side]].max_tokens
        question = None
        if (job := next(inputs.plan.jobs(), None)) is not None:
            question = Exchange(job, inputs.prompts(job), inputs.rules(job)).question
        # Any prompt has a token; that of the side which opens is known.
        opening = 1 + max_tokens
        if question is not None and question.side is side:
            opening = reserved_tokens(question.messages, max_tokens)
        most = max(most, opening, largest_on_record(reader, side))
    return most


def _sides_at(config: RunConfig, endpoint: str) -> list[Role]:
    return [
        side for side, stage in _STAGES.items()
        if stage in config.stages and endpoint in config.stages[stage].endpoint_names
    ]  # fmt: skip


def _key(side: Role) -> str:
    return f"largest_reservation.{side.value}"
