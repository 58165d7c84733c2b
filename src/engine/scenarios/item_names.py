"""Finds items of a list in what was said, by their names: normalised, the longest name first.

Case, accents, punctuation, apostrophes, a leading article and "&" do not count. Names stand as whole words;
in Chinese, as runs of characters. A name of a single word is found only where it has a capital, as in the
list, since "olive" is also no restaurant. It is words that are matched, no meaning: an item that is
paraphrased is missed, and of what is said against an item only the plainest ("avoid X") is known.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine.errors import BadInput
from engine.schema.item import Item

_CJK = "\u3400-\u9fff"
_TOKEN = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+(?:['’][^\W_{_CJK}]+)*|&|[.!?。！？;；\n]")
_BREAKS = frozenset(".!?。！？;；\n")
_ARTICLES = frozenset({"the", "a", "an"})
_AGAINST = frozenset({"avoid", "skip", "not", "never", "except", "unlike", "without", "instead", "dont"})
_AGAINST_ZH = ("不要", "别去", "避开", "避免", "除了", "不建议", "不推荐")
_REACH, _REACH_ZH = 4, 6


class _Token(NamedTuple):
    text: str
    is_capital: bool


class Mention(NamedTuple):
    """An item named in a text; `is_against` where the words before it turn it down."""

    item_id: str
    is_against: bool


class ItemMatcher:
    """Finds the items of one list. Raises BadInput where two of them share a name."""

    def __init__(self, items: Iterable[Item], source: str = "the list of items") -> None:
        self._owners: dict[tuple[str, ...], str] = {}
        # Single words that are names only with a capital.
        self._capital: set[tuple[str, ...]] = set()
        self._lengths: dict[str, list[int]] = {}
        for item in items:
            for name in item.names:
                self._add(item, name, source)
        for lengths in self._lengths.values():
            lengths.sort(reverse=True)

    def __repr__(self) -> str:
        return f"ItemMatcher({len(self._owners)} names)"

    def _add(self, item: Item, name: str, source: str) -> None:
        tokens = [token for token in _tokens(name) if token.text not in _BREAKS]
        words = tuple(token.text for token in tokens)
        words = words[1:] if len(words) > 1 and words[0] in _ARTICLES else words
        if not words:
            raise BadInput(
                f"{source}: item {item.item_id!r}: the name {name!r} has no letter to be found by."
            )
        owner = self._owners.setdefault(words, item.item_id)
        if owner != item.item_id:
            raise BadInput(
                f"{source}: the name {name!r} stands for item {owner!r} and {item.item_id!r}; rename one."
            )
        if len(words) == 1 and tokens[-1].is_capital:
            self._capital.add(words)
        lengths = self._lengths.setdefault(words[0], [])
        if len(words) not in lengths:
            lengths.append(len(words))

    def mentions(self, text: str) -> Iterator[Mention]:
        """Every place where an item is named, in order, without overlaps."""
        tokens = list(_tokens(text))
        at = 0
        while at < len(tokens):
            found = self._longest(tokens, at)
            if found is None:
                at += 1
                continue
            size, item_id = found
            yield Mention(item_id, _is_against(tokens, at))
            at += size

    def _longest(self, tokens: list[_Token], at: int) -> tuple[int, str] | None:
        for size in self._lengths.get(tokens[at].text, ()):
            words = tuple(token.text for token in tokens[at : at + size])
            owner = self._owners.get(words)
            if owner is not None and (tokens[at].is_capital or words not in self._capital):
                return size, owner
        return None


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(unicodedata.normalize("NFC", text)):
        word = match[0]
        if word.isascii():
            bare = "and" if word == "&" else word.replace("'", "").casefold()
            yield _Token(bare, word[0].isupper())
            continue
        bare = unicodedata.normalize("NFKD", word).replace("'", "").replace("’", "").casefold()
        plain = "".join(letter for letter in bare if not unicodedata.combining(letter))
        # A script that is written with combining marks alone must not vanish.
        yield _Token(plain or word, word[0].isupper())


def _is_against(tokens: list[_Token], at: int) -> bool:
    before: list[str] = []
    for token in reversed(tokens[max(0, at - _REACH_ZH) : at]):
        if token.text in _BREAKS:
            break
        before.insert(0, token.text)
    near = before[-_REACH:]
    turned_down = any(word in _AGAINST and near[i + 1 : i + 2] != ["only"] for i, word in enumerate(near))
    return turned_down or any(words in "".join(before) for words in _AGAINST_ZH)
