"""What of a conversation a judge is shown, and how it is cut where it does not fit the model's context.

The rule: the opening turn stays, since it says what the conversation is about. Before an utterance in
question the nearest turns stay; of a whole conversation turns are kept from both ends inwards, so that the
middle goes. A single text that is too long by itself loses its middle. Sizes are the upper bound that calls
reserve by: a third of the bytes of JSON. Whatever is left out is counted, and shown as left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from engine.schema.dataset import Conversation

_BYTES_PER_TOKEN = 3
_TURN_BYTES = 48  # what the template writes around a turn
_GAP = "\n[...]\n"
_LEAST_BYTES = 600


@dataclass(frozen=True, slots=True)
class Shown:
    """A turn as a template sees it; `left_out` counts the turns that are missing before it."""

    number: int
    speaker: str
    text: str
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """What is shown of a conversation; `cut` counts turns left out and texts shortened."""

    turns: tuple[Shown, ...]
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """How many bytes of JSON the messages of a request may have; None: as many as they are."""

    bytes: int | None = None

    @classmethod
    def of(cls, context_tokens: int | None, max_tokens: int) -> Room:
        """What a context leaves for messages beside the reply."""
        if context_tokens is None:
            return cls()
        return cls(max(_LEAST_BYTES, (context_tokens - max_tokens) * _BYTES_PER_TOKEN))

    def less(self, *texts: str) -> Room:
        """What is left beside `texts`."""
        if self.bytes is None:
            return self
        return Room(max(_LEAST_BYTES, self.bytes - sum(map(size_of, texts))))

    def fits(self, size: int) -> bool:
        """Whether so many bytes fit."""
        return self.bytes is None or size <= self.bytes


def size_of(text: str) -> int:
    """Bytes of a text as JSON."""
    return len(orjson.dumps(text))


def show_before(conversation: Conversation, turn: int, room: Room, *, most: int | None = None) -> View:
    """The turns before `turn`: the opening one and the nearest, `most` of them at most."""
    return _pick(conversation, turn, range(turn - 1, 0, -1), room, most)


def show_all(conversation: Conversation, room: Room) -> View:
    """The whole conversation, or both of its ends."""
    count = len(conversation.turns)
    # The last, the second, the one before the last, ...: from both ends inwards.
    order = [at for low in range(1, count) for at in (count - low, low)]
    return _pick(conversation, count, list(dict.fromkeys(order)), room, None)


def shorten(text: str, room: Room) -> str:
    """`text`, without its middle where it does not fit."""
    if room.fits(size_of(text)):
        return text
    assert room.bytes is not None
    keep = len(text) * (room.bytes - len(_GAP)) // size_of(text)
    while not room.fits(size_of(cut := text[: keep // 2] + _GAP + text[len(text) - keep // 2 :])) and keep:
        keep = keep * 9 // 10
    return cut


def _pick(conversation: Conversation, count: int, order: Sequence[int], room: Room, most: int | None) -> View:
    """The opening turn, then those of `order`, each as long as it fits, up to the first that does not."""
    if count == 0:
        return View(())
    turns = conversation.turns
    texts = {0: shorten(turns[0].content, _half(room))}
    cut = int(texts[0] != turns[0].content)
    size = size_of(texts[0]) + _TURN_BYTES
    for at in order if most is None else order[:most]:
        text = turns[at].content
        if len(texts) == 1:  # one neighbour is always shown, if need be without its middle
            text = shorten(text, Room(None if room.bytes is None else max(1, room.bytes - size)))
        more = size_of(text) + _TURN_BYTES
        if len(texts) > 1 and not room.fits(size + more):
            break
        cut += text != turns[at].content
        texts[at] = text
        size += more
    wanted = count if most is None else min(count, most + 1)
    shown, before = [], -1
    for at in sorted(texts):
        shown.append(Shown(at, turns[at].role.value, texts[at], at - before - 1))
        before = at
    return View(tuple(shown), cut + wanted - len(texts))


def _half(room: Room) -> Room:
    return Room(None if room.bytes is None else room.bytes // 2)
