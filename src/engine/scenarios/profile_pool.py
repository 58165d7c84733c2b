"""A pool is a file of profiles: every way to write one loads to the same `Profile`, or is refused.

    pool.jsonl, pool.jsonl.gz   one JSON object a line: `id` and the nine aspects, or `id` and `text`
                                (nine numbered lines); or records of a published dataset that carry
                                `preference_id` and `preference`
    pool.txt                    blocks of nine numbered lines, parted by blank lines

Whatever is wrong with a file is a `BadInput` that names file and line, found before any job runs.
What `load_profiles` would refuse, `dump_profiles` does not write. `spread_table` says how varied a
pool is, in figures.
"""

from __future__ import annotations

import difflib
import errno
import gzip
import os
import re
import statistics
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, NonNegativeInt, ValidationError
from pydantic_core import PydanticCustomError

from engine.config.regular_file import refuse_special
from engine.errors import BadInput, CannotWrite, DiskFull, UsageError
from engine.schema.job import PROFILE_ID_PATTERN
from engine.schema.profile import ASPECTS, Profile

# A profile goes into every request of its jobs, so a pasted book is a mistake. In characters.
MAX_VALUE_CHARS = 20_000
# Bounds memory on a file without line ends (or a small .gz that unpacks to one). In bytes.
MAX_LINE_BYTES = 8_000_000

_KEYS = tuple(aspect.key for aspect in ASPECTS)
_KNOWN_KEYS = ("id", *_KEYS, "text", "provenance")
_NUMBERED_LINE = re.compile(r"\s*(\d{1,2})\s*[.．、)]([^:：]*)[:：](.*)")
_UNSPEAKABLE = re.compile("[\\0\ud800-\udfff]")
_ID_LINE = re.compile(r"#\s*id\s*[:：](.*)")


def load_profiles(path: Path) -> list[Profile]:
    """The profiles of a pool in file order (dataset records: one per `preference_id`, by number).

    Raises BadInput with file and line: unreadable or empty file, not UTF-8, not JSON, an aspect that
    is missing, empty, unknown, of a wrong type or over `MAX_VALUE_CHARS`, an id that is missing,
    malformed or used twice. A byte order mark and blank lines are tolerated.
    """
    if path.name.endswith(".txt"):
        found = _from_blocks(path)
    elif path.name.endswith((".jsonl", ".jsonl.gz")):
        found = _from_json_lines(path)
    else:
        raise BadInput(f"{path}: a pool of profiles is a .jsonl, .jsonl.gz or .txt file. Rename it to match.")
    if not found:
        raise BadInput(f"{path}: the file holds no profile. See profiles/README.md.")
    return found


def dump_profiles(profiles: Iterable[Profile], path: Path) -> None:
    """Write profiles as a .jsonl pool that loads to the same profiles; whole or not at all.

    Replaces `path` by a finished temporary file beside it. Raises BadInput for what would not load,
    UsageError for another suffix, CannotWrite or DiskFull where the file cannot be written.
    """
    if path.suffix != ".jsonl":
        raise UsageError(f"{path}: profiles are written as JSON Lines. Name the file *.jsonl.")
    ids = _Ids()
    lines = []
    for number, profile in enumerate(profiles, 1):
        place = _Place(path, number)
        record = _record_of(profile)
        if _profile_of(record, place) != profile:
            raise place.error("the profile's text and its aspects differ. Make them say the same.")
        ids.claim(profile.profile_id, place)
        lines.append(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
    if not lines:
        raise BadInput(f"{path}: there is no profile to write.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as out:
            out.writelines(lines)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else CannotWrite
        raise kind(f"{path}: cannot write the profiles: {error.strerror}.") from error


# --- where something stands ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    path: Path
    line: int

    def error(self, what: str) -> BadInput:
        return BadInput(f"{self.path}:{self.line}: {what}")


class _Ids:
    """The ids seen so far and their lines."""

    def __init__(self) -> None:
        self._line_of: dict[str, int] = {}

    def claim(self, profile_id: str, place: _Place) -> None:
        first = self._line_of.setdefault(profile_id, place.line)
        if first != place.line:
            lines = f"lines {first} and {place.line}"
            raise place.error(f"the id {profile_id!r} is used twice, on {lines}. Rename one.")


# --- bytes to lines -----------------------------------------------------------------------------


def _lines(path: Path) -> Iterator[tuple[_Place, str]]:
    """Decoded lines without their line end, each with its place."""
    line = 0
    refuse_special(path, BadInput)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            while raw := stream.readline(MAX_LINE_BYTES + 1):
                line += 1
                place = _Place(path, line)
                if len(raw) > MAX_LINE_BYTES:
                    raise place.error(f"the line is longer than {MAX_LINE_BYTES:,} bytes. Is it a pool?")
                try:
                    text = raw.decode("utf-8-sig" if line == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    what = f"byte {error.start + 1} of the line is not UTF-8. Save the file as UTF-8."
                    raise place.error(what) from error
                yield place, text.removesuffix("\n").removesuffix("\r")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: not a complete gzip file, after line {line}: {error}.") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot read the profiles: {error.strerror}.") from error


# --- JSON Lines ---------------------------------------------------------------------------------


def _sound(value: str) -> str:
    """A string that may enter a prompt: NUL ends strings in too many places, a blank says nothing."""
    if not value.strip():
        raise PydanticCustomError("empty", "is empty; write a few words")
    if bad := _UNSPEAKABLE.search(value):
        name = "NUL character" if bad[0] == "\0" else "lone surrogate"
        raise PydanticCustomError("unspeakable", "holds a {name}; remove it", {"name": name})
    if len(value) > MAX_VALUE_CHARS:
        numbers = {"count": len(value), "most": MAX_VALUE_CHARS}
        raise PydanticCustomError("too_long", "has {count} characters, at most {most} are allowed", numbers)
    return value


def _one_line(value: str) -> str:
    """An aspect is printed on one numbered line, so a line break would forge the next one."""
    if value.splitlines() != [value]:
        raise PydanticCustomError("line_break", "holds a line break; put it on one line")
    return value


_Text = Annotated[str, AfterValidator(_sound)]
_AspectText = Annotated[str, AfterValidator(_sound), AfterValidator(_one_line)]


class _PoolRecord(BaseModel):
    """A line of a pool; its extra keys are the aspects."""

    model_config = ConfigDict(strict=True, extra="allow")
    __pydantic_extra__: dict[str, _AspectText]

    id: str
    text: _Text | None = None
    provenance: dict[_Text, _Text] = {}


class _DatasetRecord(BaseModel):
    """A conversation of a published dataset, of which only the profile is read."""

    model_config = ConfigDict(strict=True, extra="ignore")

    preference_id: NonNegativeInt
    preference: _Text


_Record = TypeVar("_Record", bound=BaseModel)


def _from_json_lines(path: Path) -> list[Profile]:
    ids = _Ids()
    pool: list[Profile] = []
    numbered: dict[int, tuple[Profile, int]] = {}
    for place, line in _lines(path):
        if not line.strip():
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise place.error(f"not JSON: {error.msg} (column {error.colno}).") from error
        if not isinstance(record, dict):
            raise place.error("a profile is a JSON object.")
        if "preference_id" in record:
            _add_numbered(numbered, record, place)
        else:
            profile = _profile_of(record, place)
            ids.claim(profile.profile_id, place)
            pool.append(profile)
        if numbered and pool:
            raise place.error("profiles and dataset records stand in one file. Put them into two.")
    return pool or [numbered[number][0] for number in sorted(numbered)]


def _add_numbered(numbered: dict[int, tuple[Profile, int]], raw: dict[str, Any], place: _Place) -> None:
    """Keep a dataset record's profile; a number that means two texts would mix up two users."""
    record = _validated(_DatasetRecord, raw, place)
    number = record.preference_id
    if number not in numbered:
        aspects = _aspects_of(record.preference, place)
        numbered[number] = (Profile(_checked_id(str(number), place), aspects, record.preference), place.line)
    elif numbered[number][0].text != record.preference:
        raise place.error(
            f"preference_id {number} has another text than on line {numbered[number][1]}. "
            "Give one of them a number of its own."
        )


def _profile_of(raw: dict[str, Any], place: _Place) -> Profile:
    for key in raw:
        if key not in _KNOWN_KEYS:
            raise place.error(f"unknown key {key[:80]!r}.{_suggestion(key, _KNOWN_KEYS)}")
    record = _validated(_PoolRecord, raw, place)
    profile_id = _checked_id(record.id, place)
    given = record.__pydantic_extra__
    if record.text is not None:
        aspects = _aspects_of(record.text, place)
        for key, value in given.items():
            if value.strip() != aspects[key]:
                raise place.error(f"{key} differs from what text says. Leave one of the two out.")
        aspects |= given
    else:
        if missing := [key for key in _KEYS if key not in given]:
            raise place.error(f"missing {', '.join(missing)}. A profile has {len(_KEYS)} aspects.")
        aspects = {key: given[key] for key in _KEYS}
    return Profile(profile_id, aspects, record.text, record.provenance)


def _record_of(profile: Profile) -> dict[str, Any]:
    record: dict[str, Any] = {"id": profile.profile_id, **profile.aspects}
    if profile.text is not None:
        record["text"] = profile.text
    if profile.provenance:
        record["provenance"] = dict(profile.provenance)
    return record


def _validated(model: type[_Record], raw: Mapping[str, Any], place: _Place) -> _Record:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        what = {"missing": "is missing"}.get(first["type"], first["msg"])
        raise place.error(f"{key}: {what}.") from error


def _checked_id(profile_id: str, place: _Place) -> str:
    if not PROFILE_ID_PATTERN.fullmatch(profile_id):
        raise place.error(
            f"id {profile_id[:80]!r} cannot be used: at most 64 letters, digits, '_', '.', '-', "
            "and a letter or digit first."
        )
    return profile_id


def _suggestion(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word[:80].lower(), known, n=1)
    return f" Did you mean {close[0]!r}?" if close else f" Known are: {', '.join(known)}."


# --- nine numbered lines ------------------------------------------------------------------------


def _from_blocks(path: Path) -> list[Profile]:
    ids = _Ids()
    pool: list[Profile] = []
    runs = groupby(_lines(path), key=lambda each: bool(each[1].strip()))
    blocks = (list(run) for is_block, run in runs if is_block)
    for position, block in enumerate(blocks, 1):
        place, profile_id = block[0][0], f"t{position:04}"
        if named := _ID_LINE.fullmatch(block[0][1]):
            profile_id = named[1].strip()
            block = block[1:]
        if not block:
            raise place.error("an id without a profile. Put the nine lines right below it.")
        text = "\n".join(line for _, line in block)
        if len(text) > MAX_VALUE_CHARS:
            raise place.error(
                f"the profile has {len(text)} characters, at most {MAX_VALUE_CHARS} are allowed."
            )
        aspects = _aspects_of(text, block[0][0], next_line=1)
        ids.claim(_checked_id(profile_id, place), place)
        pool.append(Profile(profile_id, aspects, text))
    return pool


def _aspects_of(text: str, place: _Place, next_line: int = 0) -> dict[str, str]:
    """The nine values of a text; labels are English or Chinese, the colon may be full-width.

    `next_line` is 1 where the text's lines are lines of the file, so that errors name each of them.
    """
    lines = text.strip("\r\n").split("\n")
    aspects: dict[str, str] = {}
    for i, (aspect, line) in enumerate(zip(ASPECTS, lines, strict=False)):
        here = _Place(place.path, place.line + i * next_line)
        wanted = f"'{i + 1}. {aspect.label_en}: ...'"
        match = _NUMBERED_LINE.fullmatch(line)
        if match is None:
            raise here.error(f"line {i + 1} of the profile's text should read {wanted}.")
        label = match[2].strip()
        if int(match[1]) != i + 1 or label.casefold() not in (aspect.label_en.casefold(), aspect.label_zh):
            raise here.error(
                f"line {i + 1} of the profile's text is '{match[1]}. {label[:80]}', it should read {wanted}."
            )
        try:
            aspects[aspect.key] = _one_line(_sound(match[3].strip()))
        except PydanticCustomError as error:
            raise here.error(f"{aspect.key}: {error.message()}.") from error
    if len(lines) != len(ASPECTS):
        missing = ", ".join(_KEYS[len(lines) :])
        what = f"missing {missing}" if missing else f"{len(lines)} lines"
        raise place.error(f"{what}: a profile's text has {len(ASPECTS)} numbered lines.")
    return aspects


# --- how varied a pool is -----------------------------------------------------------------------

_AGE_BANDS = ((18, 24), (25, 34), (35, 44), (45, 54), (55, 64), (65, 120))
# A Chinese character counts as a word of its own: there are no blanks to split at.
_WORD = re.compile(r"[\u4e00-\u9fff]|[^\W_]+(?:['’-][^\W_]+)*")


def spread_table(profiles: Sequence[Profile]) -> str:
    """How varied a pool is, as two Markdown tables: the pool, then one row an aspect.

    An age is the first number in its value; quartiles use the inclusive method. The nearest pair are
    the two profiles whose sets of words over all aspects have the largest Jaccard similarity (0 to 1),
    found in quadratic time. Case does not count.
    """
    ages = [int(found[0]) for p in profiles if (found := re.search(r"\d{1,3}", p.aspects["age"]))]
    spread: list[float] = [*ages]
    if len(ages) > 1:
        spread = [min(ages), *statistics.quantiles(ages, n=4, method="inclusive"), max(ages)]
    bands = {f"{low}-{high}": sum(low <= age <= high for age in ages) for low, high in _AGE_BANDS}
    words = {p.profile_id: {w for key in _KEYS for w in _words(p.aspects[key])} for p in profiles}
    pairs = ((_jaccard(words[a], words[b]), a, b) for a, b in combinations(words, 2))
    similarity, *nearest = max(pairs, default=(0.0, "none"))
    rows = [
        f"| profiles | {len(profiles)} |",
        f"| genders | {_counts(Counter(p.aspects['gender'] for p in profiles))} |",
        f"| age: minimum, quartiles, maximum | {', '.join(f'{age:g}' for age in spread)} |",
        f"| age bands | {_counts(bands)} |",
        f"| distinct occupations | {len({p.aspects['occupation'].casefold() for p in profiles})} |",
        f"| nearest pair (Jaccard similarity) | {' and '.join(nearest)}: {similarity:.3f} |",
    ]
    lines = ["| figure | value |", "| --- | --- |", *rows, ""]
    lines += ["| aspect | mean words | distinct first words | vocabulary | vocabulary / words |"]
    lines += ["| --- | ---: | ---: | ---: | ---: |"]
    for key in _KEYS:
        values = [_words(p.aspects[key]) for p in profiles]
        total, kinds = sum(map(len, values)), len({word for value in values for word in value})
        firsts = len({value[0] for value in values if value})
        lines.append(
            f"| {key} | {total / len(values):.1f} | {firsts} | {kinds} | {kinds / max(1, total):.2f} |"
        )
    return "\n".join(lines)


def _words(value: str) -> list[str]:
    return _WORD.findall(value.casefold())


def _jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / max(1, len(a | b))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())
