"""A reply's body as one JSON object: whatever the bytes are, ReplyUnusable is the only error."""

from __future__ import annotations

import re

import orjson

from engine.errors import ReplyUnusable

# A high half without its low one behind it, or a low half alone; only asked where the JSON was refused.
_HALF = rb"\\u[dD]"
_LONE_SURROGATE = re.compile(
    _HALF + rb"[89abAB][0-9a-fA-F]{2}(?!" + _HALF + rb"[c-fC-F])"
    rb"|(?<!" + _HALF + rb"[89abAB][0-9a-fA-F]{2})" + _HALF + rb"[c-fC-F]"
)


def read_object(body: bytes) -> dict[str, object]:
    """The object in `body`. Raises ReplyUnusable: not_json, lone_surrogate, wrong_shape."""
    try:
        data = orjson.loads(body)
    except ValueError as error:
        if _LONE_SURROGATE.search(body):
            # The same request would bring it again: it is the model's text, not a fault of the wire.
            raise ReplyUnusable(
                "lone_surrogate", "the reply holds half a character (a lone surrogate)"
            ) from error
        raise ReplyUnusable("not_json", _not_json(body)) from error
    if not isinstance(data, dict):
        raise ReplyUnusable("wrong_shape", "the reply is JSON but not an object")
    return data


def section(data: dict[str, object], name: str) -> dict[str, object]:
    """The object under `name`; an empty one for anything else."""
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def count(value: object) -> int:
    """A number of tokens; 0 for what is none."""
    # More is not to be believed, and the sum over all rows of a journal must stay below 63 bits.
    return value if type(value) is int and 0 <= value < 2**40 else 0


def word(value: object) -> str:
    """A text; nothing for anything else."""
    return value if isinstance(value, str) else ""


def is_blank(text: str) -> bool:
    """Whether it holds nothing but white space."""
    return not text or text.isspace()


def _not_json(body: bytes) -> str:
    if body.lstrip()[:1] == b"<":
        return "the reply is an HTML page, not JSON: is the base URL right, and is there a proxy in between?"
    return "the reply is not valid JSON"
