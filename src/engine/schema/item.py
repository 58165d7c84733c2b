"""An item is something that an assistant can recommend, out of a list that a task brings along."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """One candidate. `aliases` are other names by which turns may call it; `text` says what it is like."""

    item_id: str
    name: str
    aliases: tuple[str, ...] = ()
    text: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The name, then the aliases."""
        return (self.name, *self.aliases)
