"""The most tokens that one call of a run reserves: a limit per minute below that could never admit it.

What each side, or another stage, reserved at most is in the journal's `meta` before it is reserved, so that
`engine adjust`, in a process of its own and also long after, decides as the run itself does; and it bounds
what a killed process had in the air. Where nothing is on record yet, the first prompt of the plan and
`max_tokens` say what is certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from engine.config.matrix import Variant, variants_of
from engine.config.settings import RunConfig
from engine.journal.inputs import RunInputs
from engine.journal.journal import Journal
from engine.journal.reader import Reader
from engine.journal.usage import reservation_key
from engine.llm.caller import reserved_tokens
from engine.llm.exchange import Exchange


class Fewest(NamedTuple):
    """Limits per minute, by the names of the settings, below which a call could never be sent."""

    tokens_per_min: int
    input_tokens_per_min: int
    output_tokens_per_min: int

    def refuses(self, limits: Mapping[str, int | None]) -> str | None:
        """The kind of limit that is too low, or None."""
        for kind, fewest in self._asdict().items():
            limit = limits.get(kind)
            if limit is not None and limit < fewest:
                return kind
        return None


class Reservations:
    """What is on record of a run; one per session, which alone writes it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._largest: dict[str, int] = {}

    def is_most(self, source: str, tokens: int) -> bool:
        """Whether `tokens` are more than ever before, and so to be put on record first."""
        return tokens > self._reserved(source)

    async def note(self, source: str, tokens: int) -> None:
        """Put `tokens` of a side or a stage on record, if they are more than ever before.

        They may be reserved after that.
        """
        if self.is_most(source, tokens):
            self._largest[source] = tokens
            await self._journal.put_meta(reservation_key(source), str(tokens))

    def fewest(self, config: RunConfig, endpoint: str, model: str | None = None) -> Fewest:
        """The smallest limits that admit every call so far at `endpoint`; of `model` alone, where given."""
        return _fewest(
            (self._reserved(variant.key), variant.settings.max_tokens)
            for variant in _asking(config, endpoint, model)
        )

    def _reserved(self, source: str) -> int:
        if source not in self._largest:
            self._largest[source] = largest_on_record(self._journal.reader, source)
        return self._largest[source]

    def __repr__(self) -> str:
        return f"Reservations({', '.join(f'{source} {n:,}' for source, n in self._largest.items())})"


def largest_on_record(reader: Reader, source: str) -> int:
    """The most tokens that a call of a side or a stage has reserved; 0 where none is on record."""
    return int(reader.meta(reservation_key(source)) or 0)


def fewest_from_journal(
    reader: Reader, inputs: RunInputs, config: RunConfig, endpoint: str, model: str | None = None
) -> Fewest:
    """The smallest limits that may admit the calls of a run at `endpoint`, from its journal."""
    reserved = []
    for variant in _asking(config, endpoint, model):
        max_tokens = variant.settings.max_tokens
        question = None
        if (job := next(inputs.plan.jobs(), None)) is not None:
            question = Exchange(job, inputs.prompts(job), inputs.rules(job)).question
        # Any prompt has a token; that of the side which opens is known.
        opening = 1 + max_tokens
        if question is not None and question.side is variant.role:
            opening = reserved_tokens(question.messages, max_tokens)
        reserved.append((max(opening, largest_on_record(reader, variant.key)), max_tokens))
    return _fewest(reserved)


def _fewest(reserved: Iterable[tuple[int, int]]) -> Fewest:
    """Over (tokens, of them for the reply) of each side; 0 where nothing was reserved yet."""
    known = [(tokens, output) for tokens, output in reserved if tokens]
    return Fewest(
        max((tokens for tokens, _ in known), default=0),
        max((tokens - output for tokens, output in known), default=0),
        max((output for _, output in known), default=0),
    )


def _asking(config: RunConfig, endpoint: str, model: str | None) -> list[Variant]:
    """Who asks `endpoint`, for `model` alone where one is given."""
    return [
        variant for variant in variants_of(config)
        if endpoint in variant.settings.endpoint_names and model in (None, variant.settings.model)
    ]  # fmt: skip
