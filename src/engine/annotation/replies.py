"""Reads a judge's reply: one JSON object with the fields that were asked for, or `Unusable` and nothing else.

A model may put a fence or a sentence around its object; inside it, types and values are taken as they are and
never guessed: a number in quotes, a label that was not offered, a missing field is asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from engine.errors import EngineError

_MOST_CHARS = 200


class Unusable(EngineError):
    """The reply does not hold what was asked for; `reason` is a short stable word for counts."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the reply is unusable: {reason}")
        self.reason = reason


def read_object(text: str) -> dict[str, object]:
    """The one JSON object in `text`."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        raise Unusable("no_object")
    try:
        data = orjson.loads(text[start : end + 1])
    except ValueError:
        raise Unusable("not_json") from None
    if not isinstance(data, dict):  # cannot be: it begins with a brace
        raise Unusable("not_json")
    return data


def read_text(data: Mapping[str, object], key: str, *, may_be_empty: bool = False) -> str:
    """The text under `key`."""
    value = data.get(key)
    if not isinstance(value, str) or not (may_be_empty or value.strip()):
        raise Unusable(f"no_{key}")
    return value


def read_flag(data: Mapping[str, object], key: str) -> bool:
    """True or false under `key`."""
    value = data.get(key)
    if not isinstance(value, bool):
        raise Unusable(f"no_{key}")
    return value


def read_whole(data: Mapping[str, object], key: str, least: int, most: int) -> int:
    """A whole number from `least` to `most` under `key`."""
    value = data.get(key)
    if type(value) is not int or not least <= value <= most:
        raise Unusable("out_of_range" if type(value) is int else f"no_{key}")
    return value


def read_list(data: Mapping[str, object], key: str) -> list[object]:
    """The list under `key`."""
    value = data.get(key)
    if not isinstance(value, list):
        raise Unusable(f"no_{key}")
    return value


def read_labels(
    data: Mapping[str, object], key: str, labels: Sequence[str], *, is_multi: bool
) -> tuple[str, ...]:
    """One label, or several different ones where the set allows that; spelt as offered but for case."""
    known = {label.casefold(): label for label in labels}
    value = data.get(key)
    said = value if isinstance(value, list) else [value]
    found = tuple(
        dict.fromkeys(
            known.get(each.strip().casefold(), "") if isinstance(each, str) else "" for each in said
        )
    )
    if not found or not all(found) or (len(found) > 1 and not is_multi):
        raise Unusable("unknown_label")
    return found


def read_phrases(data: Mapping[str, object], key: str, fewest: int, most: int) -> tuple[str, ...]:
    """Between `fewest` and `most` different short phrases."""
    said = read_list(data, key)
    if not all(isinstance(each, str) and each.strip() and len(each) <= _MOST_CHARS for each in said):
        raise Unusable("no_phrase")
    phrases = tuple(dict.fromkeys(str(each).strip() for each in said))
    if not fewest <= len(phrases) <= most:
        raise Unusable("number_of_phrases")
    return phrases
