"""What a mistyped word was probably meant to be: one rule for keys, values and names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(word: object, known: Iterable[str]) -> str | None:
    """The known word that `word` resembles, whatever its case; None where none does."""
    words = {each.lower(): each for each in known}
    found = difflib.get_close_matches(str(word)[:80].lower(), words, n=1)
    return words[found[0]] if found else None


def suggest(word: object, known: Iterable[str]) -> str:
    """The question to put behind a message, or nothing."""
    found = closest(word, known)
    return "" if found is None else f" Did you mean `{found}`?"


def name_endpoint(who: str, name: object, known: Iterable[str], *, is_named: bool = True) -> str:
    """What is said of an endpoint's name that no endpoint has."""
    names = sorted(known)
    there = f"the configuration has: {', '.join(names)}."
    if not is_named:
        return f"{who} names no endpoint, and none is called {str(name)!r}; {there}"
    return f"{who} names endpoint {str(name)!r:.80}; {there}{suggest(name, names)}"
