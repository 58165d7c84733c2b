"""What a task does with its items: whom it shows which, and what it finds of them in a conversation.

The assistant is shown all items where they fit into `shown`, else a draw of so many, the same for the same
profile and scenario, with the targets among them. Both stand in the order of the file, so that neither place
nor presence tells a target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count

from engine.errors import BadInput
from engine.scenarios.item_file import Targets
from engine.scenarios.item_names import ItemMatcher
from engine.scenarios.task_file import ItemSettings
from engine.schema.item import Item

MOST_CHARS = 100_000
"""Of all items that one prompt shows: about 25,000 tokens, which many models' contexts do not hold."""


@dataclass(frozen=True, slots=True, eq=False)
class ItemSet:
    """A task's items, in the order of their file, with its targets."""

    settings: ItemSettings
    items: tuple[Item, ...]
    targets: Targets
    matcher: ItemMatcher
    by_id: Mapping[str, Item]

    @classmethod
    def of(cls, settings: ItemSettings, items: tuple[Item, ...], targets: Targets, source: str) -> ItemSet:
        """Checks what only the whole can tell. Raises BadInput, naming `source`."""
        by_id = {item.item_id: item for item in items}
        for ids in targets.values():
            if unknown := [item_id for item_id in ids if item_id not in by_id]:
                raise BadInput(f"{source}: the target {unknown[0]!r} is no item of the list.")
            if len(ids) > settings.shown:
                raise BadInput(f"{source}: {len(ids)} targets, but only {settings.shown} items are shown.")
            if settings.simulator == "described" and not all(by_id[item_id].text for item_id in ids):
                raise BadInput(f"{source}: a target without a `text` cannot be described to the simulator.")
        longest = sorted((len(item.name) + len(item.text) for item in items), reverse=True)[: settings.shown]
        if sum(longest) > MOST_CHARS:
            raise BadInput(
                f"{source}: {len(longest)} items at a time may have {sum(longest):,} characters, more than "
                f"the {MOST_CHARS:,} that a prompt should hold: lower `items.shown`, or shorten their texts."
            )
        return cls(settings, items, targets, ItemMatcher(items, source), by_id)

    @property
    def shows_all(self) -> bool:
        """Whether every conversation is shown the same items."""
        return len(self.items) <= self.settings.shown

    def targets_of(self, profile_id: str, number: int) -> tuple[Item, ...]:
        """The targets of a profile in a scenario: the most particular line of the file wins."""
        for key in ((profile_id, number), (profile_id, None), (None, number), (None, None)):
            if key in self.targets:
                return tuple(self.by_id[item_id] for item_id in self.targets[key])
        return ()

    def told_targets(self, profile_id: str, number: int) -> tuple[Item, ...]:
        """What of the targets the simulator is told of; none where they are hidden from it."""
        return () if self.settings.simulator == "hidden" else self.targets_of(profile_id, number)

    def shown_to(self, task: str, profile_id: str, number: int) -> tuple[Item, ...]:
        """The candidates of a conversation, in the order of the file."""
        if self.shows_all:
            return self.items
        chosen = {item.item_id for item in self.targets_of(profile_id, number)}
        key = f"{task}-{number}-{profile_id}".encode()
        for draw in _draws(key, len(self.items)):
            if len(chosen) >= self.settings.shown:
                break
            chosen.add(self.items[draw].item_id)
        return tuple(item for item in self.items if item.item_id in chosen)

    def found_in(self, turns: Sequence[tuple[str, str]], profile_id: str, number: int) -> dict[str, object]:
        """What a conversation's `turns` (role, text) name, as its record holds it.

        `named`: per turn with any, its place, side and item ids; for the assistant those it does not turn
        down. `leaked`: targets that the user named before the assistant had.
        """
        targets = [item.item_id for item in self.targets_of(profile_id, number)]
        heard: set[str] = set()
        leaked: list[str] = []
        named: list[dict[str, object]] = []
        for place, (role, text) in enumerate(turns):
            mentions = list(self.matcher.mentions(text))
            ids = dict.fromkeys(each.item_id for each in mentions if role == "user" or not each.is_against)
            if role == "user":
                leaked += [each for each in ids if each in targets and each not in heard]
            heard.update(each.item_id for each in mentions)
            if ids:
                named.append({"turn": place, "side": role, "ids": list(ids)})
        return {
            "listed": len(self.items),
            "shown": min(len(self.items), self.settings.shown),
            "simulator": self.settings.simulator,
            "targets": targets,
            "named": named,
            "leaked": leaked,
        }


def _draws(key: bytes, n: int) -> Iterator[int]:
    """Positions below n without end, as `key` decides; they come again, in time each of them."""
    for number in count():
        digest = blake2b(b"%d:" % number + key, digest_size=8).digest()
        yield int.from_bytes(digest, "little") % n
