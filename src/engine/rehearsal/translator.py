"""A stand-in for a translation: the shape of one (script, length, numbers, lists, lines) and no meaning."""

from __future__ import annotations

import re

from engine.rehearsal.dice import hash64

_CHARACTERS = (
    "的一是在有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心"
    "多天而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长"
)
_WORDS = (
    "the", "plan", "is", "good", "for", "you", "and", "a", "day", "with", "time", "to", "see", "some",
    "more", "places", "that", "fit", "what", "we", "said", "before",
)  # fmt: skip
# Words, or runs of Chinese; whatever stands between them stays: numbers, marks, line breaks.
_PIECES = {"zh": re.compile(r"[A-Za-z][A-Za-z'’-]*"), "en": re.compile(r"[㐀-鿿]+")}
_MARKS = {
    "zh": str.maketrans({",": "，", ";": "；", "?": "？", "!": "！", " ": ""}),
    "en": str.maketrans({"，": ", ", "；": "; ", "？": "?", "！": "!", "。": ". ", "、": ", ", "：": ": "}),
}


def translate(text: str, language: str) -> str:
    """`text` as if in `language`, `zh` or `en`; equal texts alike."""
    return "\n".join(_line(line, language) for line in text.split("\n"))


def _line(line: str, language: str) -> str:
    body = line.lstrip()
    indent = line[: len(line) - len(body)]
    mark = re.match(r"(?:\d+[.)]|[-*•]) +", body)  # a list's mark keeps its space
    lead = mark[0] if mark else ""
    rest = body[len(lead) :]
    found = _PIECES[language].sub(lambda piece: _word(piece[0], language), rest)
    if language == "zh":
        # A space between two numbers is all that keeps them apart.
        found = re.sub(r"(?<=\d) (?=\d)", "、", found)
    return indent + lead + found.translate(_MARKS[language])


def _word(piece: str, language: str) -> str:
    draw = hash64(0, piece.encode())
    if language == "zh":
        length = 1 if len(piece) < 5 else 2
        return "".join(_CHARACTERS[(draw >> 8 * i) % len(_CHARACTERS)] for i in range(length))
    count = max(1, round(len(piece) * 0.6))
    return " " + " ".join(_WORDS[(draw >> i) % len(_WORDS)] for i in range(count)) + " "
