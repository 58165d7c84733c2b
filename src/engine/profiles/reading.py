"""Reads profiles out of a reply: what is there word for word is taken, everything else is counted and shown.

Models restart their numbering, write bold, add fences, headings and bullets: none of that changes what is
said, so it is read through and counted as *tolerated*. A profile with an aspect missing, empty, twice, or two
in one line is *unread*, each with a reason and its text: no text is completed, split or guessed. A reply that
stopped at its token limit loses its last profile, however complete that looks. A reply without any profile is
unread as a whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from engine.profiles.version import AspectAsked
from engine.scenarios.profile_pool import MAX_VALUE_CHARS
from engine.schema.call import Reply

_CUT_OFF_REASONS = frozenset({"length", "max_tokens", "MAX_TOKENS"})
_WITHHELD = frozenset({"content_filter", "refusal"})
_REFUSAL = re.compile(
    r"\b(?:I(?:'m| am) (?:sorry|unable|not able)|I (?:can(?:'|no)t|won't)|as an AI)\b|抱歉|无法|不能提供",
    re.IGNORECASE,
)
_FENCE = re.compile(r"^\s*(?:```|~~~)[\w-]*\s*$", re.MULTILINE)
_EMPHASIS = re.compile(r"\*{1,3}(?! )|(?<! )(?<!^)\*{1,3}|__")
_RULE = re.compile(r"\s*(?:[-=_*]\s*){3,}")
_LEAD = re.compile(r"\s*(?:[-*•·–]\s+)?(?:[(（]?(\d{1,4})\s*[.．、)）]\s*)?(?:[-*•·–]\s+)?")
_LABEL = re.compile(r"([^:：]{1,60}?)\s*[:：]\s*(.*)")
_HEADING = re.compile(
    r"\s*#{1,6}\s|\s*[\[(]?\s*(?:user|profile|person|persona|画像|用户画像|用户|人物)\s*(?:profile\s*)?[#:：]?\s*\d",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"[\[<(]?\s*(?:n/?a|none|null|unknown|tbd|\.{3}|…|-+|text|待定|无|未知)\s*[\])>]?\.?", re.IGNORECASE
)
_UNSPEAKABLE = re.compile("[\\0\ud800-\udfff]")
_LINE_BREAK = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_SHOWN_CHARS = 400


@dataclass(frozen=True, slots=True)
class Unread:
    """A piece of a reply that holds no usable profile: a stable word for counts, what exactly, the text."""

    reason: str
    detail: str
    text: str


@dataclass(frozen=True, slots=True)
class Read:
    """What a reply holds: profiles as aspect key to text, in order; what could not be read; what was odd."""

    profiles: tuple[Mapping[str, str], ...] = ()
    unread: tuple[Unread, ...] = ()
    tolerated: frozenset[str] = frozenset()


def read_reply(reply: Reply, aspects: Sequence[AspectAsked]) -> Read:
    """The profiles in a reply, of either shape, whichever was asked for. Raises nothing."""
    text = reply.text
    if reply.finish_reason in _WITHHELD:
        return Read(unread=(_unread("refused", reply.finish_reason, text),))
    bare, fences = _FENCE.subn("", text)
    tolerated = {"fence"} if fences else set()
    is_cut = reply.finish_reason in _CUT_OFF_REASONS
    opening = re.search(r"[\[{]", bare)
    if opening is not None and re.match(r'[\[{]\s*(?:"|\{|\[)', bare[opening.start() :]):
        if bare[: opening.start()].strip():
            tolerated.add("chatter")
        read = _read_json(bare[opening.start() :], aspects, is_cut=is_cut)
    else:
        read = _read_lines(bare, aspects, is_cut=is_cut)
    if not read.profiles and not read.unread:
        reason = "refused" if _REFUSAL.search(text) else "empty" if not text.strip() else "no_profile"
        read = Read(unread=(_unread(reason, "the reply holds no profile", text),))
    return Read(read.profiles, read.unread, read.tolerated | tolerated)


def _unread(reason: str, detail: str, text: str) -> Unread:
    shown = _UNSPEAKABLE.sub("\ufffd", text.strip())
    return Unread(reason, detail, shown if len(shown) <= _SHOWN_CHARS else shown[:_SHOWN_CHARS] + "...")


# --- numbered lines -----------------------------------------------------------------------------


@dataclass(slots=True)
class _Block:
    """The lines of one profile so far; `problem` is the first thing that speaks against it."""

    values: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    first_number: int | None = None
    problem: tuple[str, str] | None = None

    def spoil(self, reason: str, detail: str) -> None:
        if self.problem is None:
            self.problem = (reason, detail)

    def take(self, key: str, label: str, value: str, keys: Mapping[str, str]) -> None:
        if key in self.values:
            self.spoil("aspect_twice", label)
        elif (problem := problem_of(value)) is not None:
            self.spoil(problem, label)
        elif (other := _label_inside(value, keys, key)) is not None:
            self.spoil("merged_aspects", f"{label} with {other}")
        self.values[key] = value


def _read_lines(text: str, aspects: Sequence[AspectAsked], *, is_cut: bool) -> Read:
    tolerated: set[str] = set()
    profiles: list[Mapping[str, str]] = []
    unread: list[Unread] = []
    blocks = list(_blocks(text, aspects, tolerated))
    if any(block.first_number not in (None, 1) for block in blocks[1:]):
        tolerated.add("numbering_runs_on")
    for block in blocks:
        shown = "\n".join(block.lines)
        missing = [aspect.label for aspect in aspects if aspect.key not in block.values]
        breaks_off = (
            block is blocks[-1]
            and missing == [aspect.label for aspect in aspects[len(aspects) - len(missing) :]]
            and (block.problem is None or block.problem[0] == "stray_line")
        )
        if is_cut and block is blocks[-1]:
            unread.append(_unread("cut_off", "the reply ended at its token limit", shown))
        elif missing and breaks_off:
            unread.append(_unread("cut_off", ", ".join(missing), shown))
        elif block.problem is not None:
            unread.append(_unread(*block.problem, shown))
        elif missing:
            unread.append(_unread("missing_aspect", ", ".join(missing), shown))
        else:
            profiles.append({aspect.key: block.values[aspect.key] for aspect in aspects})
    return Read(tuple(profiles), tuple(unread), frozenset(tolerated))


def _blocks(text: str, aspects: Sequence[AspectAsked], tolerated: set[str]) -> Iterator[_Block]:
    """The lines that belong together, a block for each profile that was begun."""
    keys = _names(aspects)
    first = aspects[0].key
    block = _Block()
    in_block = False  # the line before belongs to a profile, so that this one may go on with it
    for raw in text.splitlines():
        line, marks = _EMPHASIS.subn("", raw)
        is_heading = _HEADING.match(line) is not None
        if is_heading or not line.strip() or _RULE.fullmatch(line):
            if block.lines and (is_heading or len(block.values) == len(aspects)):
                yield block
                block = _Block()
            if is_heading and marks:
                tolerated.add("emphasis")
            in_block = False
            continue
        number, rest = _without_lead(line)
        labelled = _LABEL.match(rest)
        key = None if labelled is None else keys.get(_fold(labelled[1]))
        if labelled is None or key is None:
            is_merged = labelled is not None and _is_merged(labelled[1], keys)
            if not block.lines and not is_merged:
                tolerated.add("chatter")
                continue
            if not in_block and number is None and not is_merged:
                tolerated.add("chatter")
                continue
            if is_merged:
                block.spoil("merged_aspects", rest.partition(":")[0].strip())
            elif labelled is not None and number is not None:
                block.spoil("unknown_aspect", labelled[1].strip())
            else:
                block.spoil("stray_line", rest.strip()[:80])
            block.lines.append(line)
            in_block = True
            continue
        if marks:
            tolerated.add("emphasis")
        is_again = key in block.values and key == next(iter(block.values))
        if block.lines and (is_again or (key == first and block.values)):
            yield block
            block = _Block()
        if not block.lines:
            block.first_number = number
        block.take(key, labelled[1].strip(), labelled[2].strip(), keys)
        block.lines.append(line)
        in_block = True
    if block.lines:
        yield block


def _without_lead(line: str) -> tuple[int | None, str]:
    """A line's number and what stands behind it, bullets left away."""
    lead = _LEAD.match(line)
    if lead is None:
        return None, line
    return None if lead[1] is None else int(lead[1]), line[lead.end() :]


def _names(aspects: Sequence[AspectAsked]) -> dict[str, str]:
    return {
        _fold(name): aspect.key
        for aspect in aspects
        for name in (aspect.key, aspect.label_en, aspect.label_zh)
    }


def _fold(label: str) -> str:
    """A label without case, `&` for `and`, underscores and odd spaces: differences that mean nothing."""
    return " ".join(label.replace("&", " and ").replace("_", " ").casefold().split())


def _is_merged(label: str, keys: Mapping[str, str]) -> bool:
    """Whether a label names several aspects: `Gender and Age`, `性别/年龄`."""
    parts = [
        _fold(part) for part in re.split(r"\s*(?:/|,|，|、|\+|&|\band\b|和|与)\s*", label) if part.strip()
    ]
    return len(parts) > 1 and any(part in keys for part in parts)


def _label_inside(value: str, keys: Mapping[str, str], own: str) -> str | None:
    """Another aspect's label with a colon within a value, such as `Female, Age: 30`."""
    for found in re.finditer(
        r"(?:^|[,;，；|/。.]\s*|\s\d{1,2}[.)、]\s*)([^,;:，；：|/。.]{1,60}?)\s*[:：]", value
    ):
        key = keys.get(_fold(found[1]))
        if key is not None and key != own:
            return found[1].strip()
    return None


def problem_of(value: str) -> str | None:
    """What makes a text unfit for a profile."""
    if not value.strip() or _PLACEHOLDER.fullmatch(value.strip()):
        return "empty_aspect"
    if _UNSPEAKABLE.search(value) or _LINE_BREAK.search(value):
        return "odd_characters"
    return "too_long" if len(value) > MAX_VALUE_CHARS else None


# --- JSON ---------------------------------------------------------------------------------------

_DECODER = json.JSONDecoder()


def _read_json(text: str, aspects: Sequence[AspectAsked], *, is_cut: bool) -> Read:
    """The elements of the first array of objects, one by one, so that those before a break-off are read."""
    start = text.find("[")
    if start < 0 or (text.startswith("{") and not re.match(r'\{\s*"[^"]*"\s*:\s*\[', text)):
        start = -1  # an object by itself: one profile
    profiles: list[Mapping[str, str]] = []
    unread: list[Unread] = []
    tolerated: set[str] = set()
    place = start + 1
    keys = {aspect.key for aspect in aspects}
    while True:
        while place < len(text) and text[place] in " \t\r\n,":
            place += 1
        if place >= len(text):
            if start >= 0 and not is_cut and profiles:
                tolerated.add("unclosed")
            break
        if text[place] in "]}" and start >= 0:
            if text[place:].strip(" \t\r\n]}"):
                tolerated.add("chatter")
            break
        try:
            element, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            is_open = text[place] == "{"
            unread.append(
                _unread("cut_off" if is_open and _is_open(text[place:]) else "not_json", "", text[place:])
            )
            break
        shown = text[place:end]
        place = end
        problem = _object_problem(element, keys)
        if problem is not None:
            unread.append(_unread(*problem, shown))
        else:
            profiles.append({aspect.key: str(element[aspect.key]).strip() for aspect in aspects})
        if start < 0:
            break
    return Read(tuple(profiles), tuple(unread), frozenset(tolerated))


def _is_open(text: str) -> bool:
    """Whether JSON text ends before it closes what it opened."""
    depth, in_string, escaped = 0, False, False
    for letter in text:
        if in_string:
            in_string, escaped = (escaped or letter != '"'), (letter == "\\" and not escaped)
        elif letter == '"':
            in_string = True
        elif letter in "{[":
            depth += 1
        elif letter in "}]":
            depth -= 1
    return depth > 0


def _object_problem(element: object, keys: set[str]) -> tuple[str, str] | None:
    if not isinstance(element, dict):
        return "wrong_type", type(element).__name__
    if missing := sorted(keys - element.keys()):
        return "missing_aspect", ", ".join(missing)
    if unknown := sorted(map(str, element.keys() - keys)):
        return "unknown_aspect", ", ".join(unknown)[:80]
    for key, value in element.items():
        # A number is the same text with or without quotes; anything else would have to be put into words.
        if isinstance(value, bool) or not isinstance(value, str | int):
            return "wrong_type", str(key)
        if (problem := problem_of(str(value))) is not None:
            return problem, str(key)
    return None
