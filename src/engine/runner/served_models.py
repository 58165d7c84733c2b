"""Notices when a side's calls come to be answered by another model: a silent change of what is measured.

The names seen are kept in the journal, so that a change between two sessions is noticed too. What counts
is the name in the replies; a server that gives none is not judged. The run goes on: only people can say
whether the new name is another model.
"""

from __future__ import annotations

import orjson

from engine.config.matrix import Cell
from engine.journal.journal import Journal
from engine.llm.exchange import Exchange
from engine.logs import EventLog

_META = "served_models"
# A server that makes up a name for each reply fills neither the memory nor the log.
_MOST = 20


class ServedModels:
    """The names of both sides' served models, in the order in which they were first seen."""

    def __init__(self, journal: Journal, log: EventLog) -> None:
        self._journal = journal
        self._log = log
        text = journal.reader.meta(_META)
        self._seen: dict[str, list[str]] = {} if text is None else orjson.loads(text)

    async def note(self, exchange: Exchange, cell: Cell) -> None:
        """Take note of who answered in a conversation of `cell` that has ended."""
        is_news = False
        for role, names in exchange.served_models.items():
            side = cell.sides[role].title
            seen = self._seen.setdefault(side, [])
            for name in sorted(names - {""} - set(seen)):
                if len(seen) >= _MOST:
                    break
                if seen:
                    self._log.event(
                        "model.changed", side=side, before=seen[-1], now=name, job_id=exchange.job.job_id
                    )
                seen.append(name)
                is_news = True
        if is_news:
            await self._journal.put_meta(_META, orjson.dumps(self._seen).decode())

    def __repr__(self) -> str:
        return f"ServedModels({self._seen})"
