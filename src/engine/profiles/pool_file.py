"""Pools as files of any list of aspects: written line by line, read with every fault named, none refused.

A run of the engine takes the nine aspects and refuses the first fault (`scenarios/profile_pool.py`); a check
has to say all of them, and has to read the pools of six aspects as well.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson

from engine.errors import BadInput
from engine.profiles.reading import problem_of
from engine.scenarios.profile_pool import MAX_LINE_BYTES, load_profiles
from engine.schema.job import PROFILE_ID_PATTERN
from engine.schema.profile import ASPECTS, Profile

NINE = tuple(aspect.key for aspect in ASPECTS)
_BESIDE = frozenset({"id", "text", "provenance"})


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong on one line of a pool."""

    line: int
    what: str


def write_profile(file: BinaryIO, profile: Profile) -> None:
    """One line of a .jsonl pool."""
    record: dict[str, object] = {"id": profile.profile_id, **profile.aspects}
    if profile.provenance:
        record["provenance"] = dict(profile.provenance)
    file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))


def read_pool(path: Path, keys: Sequence[str] | None = None) -> Iterator[Profile | Fault]:
    """The profiles of a pool in file order, and the faults between them; streamed.

    `keys` are the aspects; without them the nine, or those of the first line that has others. Raises
    BadInput for a file that cannot be read at all. Other kinds of pools are read as runs read them.
    """
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        yield from load_profiles(path)
        return
    seen: dict[str, int] = {}
    for number, line in _lines(path):
        if not line.strip():
            continue
        record = _object(line)
        if isinstance(record, str):
            yield Fault(number, record)
            continue
        if "preference_id" in record:  # a published dataset: a conversation a line
            yield from load_profiles(path)
            return
        if "text" in record and not any(key in record for key in NINE):
            yield from load_profiles(path)
            return
        if keys is None:
            own = tuple(key for key in record if key not in _BESIDE)
            keys = NINE if set(own) >= set(NINE[:3]) and len(own) > 6 else own
        fault = _fault(record, keys, seen)
        if fault is not None:
            yield Fault(number, fault)
        else:
            seen[str(record["id"])] = number
            yield Profile(
                str(record["id"]), {key: str(record[key]) for key in keys},
                provenance=_texts(record.get("provenance")),
            )  # fmt: skip


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            while raw := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > MAX_LINE_BYTES:
                    raise BadInput(
                        f"{path}:{number}: the line is longer than {MAX_LINE_BYTES:,} bytes. Is it a pool?"
                    )
                yield number, raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"{path}: cannot read the profiles: {reason}.") from error


def _object(line: bytes) -> dict[str, object] | str:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return f"not JSON: {error.msg}"
    return record if isinstance(record, dict) else "a profile is a JSON object"


def _texts(value: object) -> dict[str, str]:
    return {str(name): str(each) for name, each in value.items()} if isinstance(value, dict) else {}


def _fault(record: dict[str, object], keys: Sequence[str], seen: dict[str, int]) -> str | None:
    profile_id = record.get("id")
    if not isinstance(profile_id, str) or not PROFILE_ID_PATTERN.fullmatch(profile_id):
        return f"id {str(profile_id)[:80]!r} cannot be used"
    if profile_id in seen:
        return f"the id {profile_id!r} is used on line {seen[profile_id]} already"
    if missing := [key for key in keys if key not in record]:
        return f"missing {', '.join(missing)}"
    if unknown := sorted(record.keys() - _BESIDE - set(keys)):
        return f"unknown key {unknown[0][:80]!r}"
    for key in keys:
        value = record[key]
        if not isinstance(value, str):
            return f"{key} is no text"
        if (problem := problem_of(value)) is not None:
            return f"{key}: {problem.replace('_', ' ')}"
    if not isinstance(record.get("provenance") or {}, dict):
        return "provenance is no object"
    return None
