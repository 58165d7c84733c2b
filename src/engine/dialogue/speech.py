"""The text of a turn as it is looked at: folded, in units, and without what the speaker only shows.

Gates look at a reply before it becomes a turn, the rules of validation at the turn afterwards; both look by
this code and by the phrases and languages beside it. Nothing here raises on any text or takes more than
linear time.
"""

from __future__ import annotations

import re
from functools import lru_cache

MIN_USER_TURNS = 2
"""With fewer user turns a conversation is too short to be one."""

MIN_REPEAT_UNITS = 8
"""Shorter repeats ("Yes, please.") are how people talk."""

PARROT_UNITS = 12
"""Length of the run of the end prompt's words that no user utters by chance."""

CJK = "\u3400-\u9fff"
_UNIT = re.compile(rf"[a-z0-9']+|[{CJK}]")
_SPEAKER = (
    r"(?:system|assistant|chat assistant|系统|助手|助理|系统提示)"
    r"(?: (?:note|message|prompt|notification|response))?"
)
# A bracketed label opens a line or follows a sentence, so that "[System] settings" inside a sentence
# about computers is none; a bare label opens a line, and a bare "System:" there may be a user's list,
# and a few words after "Assistant:" a name.
_NOTE = re.compile(
    r"(?:^|[\n.!?。！？)）]|(?<=\S)[”\"]) {0,4}(?:[>*#-]{1,4} {0,2})?"
    rf"(?:[\[【(（<] {{0,2}}{_SPEAKER} {{0,2}}[\]】)）>]"
    rf"|[\[【] {{0,2}}{_SPEAKER} {{0,2}}[:：][^\n\]】]{{0,200}}[\]】])"
    r"|(?:^|\n) {0,4}(?:> {0,2})?(?:"
    r"\*{0,2}(?:system (?:note|message|prompt)|系统(?:提示|消息)) {0,2}[:：](?![^\n]{0,200}[?？])"
    r"|\*{0,2}assistant {0,2}[:：](?:\*\*)? {0,4}(?:\S{1,40} {1,4}){4}\S"
    r"|\*{1,2}system {0,2}[:：](?:\*\*)? {0,4}(?:\S{1,40} {1,4}){4}\S"
    r"|system {0,2}[:：] {0,4}(?:the|this|your?|user|goal|chat|conversation|session) "
    r"|助手 {0,2}[:：][^\n]{8}"
    r"|#{1,4} {1,4}(?:system|assistant)\b[^\n]{0,20}\n"
    r")"
)
_CODE = re.compile(r"```.{0,100000}?(?:```|\Z)", re.DOTALL)
# Another line of what was introduced: "host: localhost", "[System] ready".
_LABELLED = re.compile(r"\W{0,4}[\w ]{1,30}[:：] {0,4}\S|[\[【]")


def fold(text: str) -> str:
    """Lower case and straight apostrophes; nothing else changes."""
    return text.lower().replace("\u2019", "'")


def units_of(text: str) -> list[str]:
    """The words of `text` (folded), and single characters of Chinese: the grain of all comparisons."""
    return _UNIT.findall(text)


def says_stretch(text: str, end_prompt: str) -> bool:
    """Whether `text` (folded) holds `PARROT_UNITS` units of the end prompt in a row."""
    runs = _runs(end_prompt)
    if not runs:
        return False
    said = f" {' '.join(units_of(text))} "
    return any(run in said for run in runs)


@lru_cache(maxsize=8)
def _runs(end_prompt: str) -> tuple[str, ...]:
    """Every run of `PARROT_UNITS` words of the prompt; none where the prompt itself is shorter."""
    units = units_of(fold(end_prompt))
    last = len(units) - PARROT_UNITS
    return tuple(f" {' '.join(units[i : i + PARROT_UNITS])} " for i in range(last + 1))


def before_note(text: str) -> str:
    """`text` (folded) before the first imitated note of another speaker; all of it where there is none."""
    if not ("system" in text or "assistant" in text or "系统" in text or "助" in text):
        return text
    bare = without_code(text)
    for note in _NOTE.finditer(bare):
        if not is_introduced(bare, note.start()):
            return bare[: note.start() + 1]
    return text


def without_code(text: str) -> str:
    """`text` without what stands in code fences."""
    return _CODE.sub("", text) if "```" in text else text


def is_introduced(text: str, at: int) -> bool:
    """Whether the lines before position `at` lead to one that ends in a colon: a sample, a log, a list."""
    above = text[max(0, at - 600) : at].split("\n")
    for line in (line.strip(" *`") for line in reversed(above)):
        if line and not _LABELLED.match(line):
            return line[-1] in ":："
    return False
