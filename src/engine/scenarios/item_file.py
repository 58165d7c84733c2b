"""A task's list of items and its targets: files beside `task.yaml`, checked when they are read.

    items.jsonl     {"id": "r1", "name": "The Blue Door", "aliases": ["Blue Door"], "text": "small, fish"}
    items.csv       columns id, name and, where wanted, aliases (parted by |) and text
    targets.jsonl   {"profile": "p001", "scenario": 3, "targets": ["r1"]}; without either: for all

Whatever is wrong is a `BadInput` that names file and line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from engine.errors import BadInput
from engine.scenarios.text_template import read_text
from engine.schema.item import Item
from engine.schema.job import PROFILE_ID_PATTERN

MOST_ITEMS = 50_000
"""A longer list would make each journal, which holds it once, larger than its conversations."""
_COLUMNS = ("id", "name", "aliases", "text")

Name = Annotated[str, Field(min_length=1, max_length=200)]
TargetKey = tuple[str | None, int | None]
Targets = dict[TargetKey, tuple[str, ...]]


class _ItemRow(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(min_length=1, max_length=100)]
    name: Name
    aliases: tuple[Name, ...] = ()
    text: Annotated[str, Field(max_length=1000)] = ""


class _TargetRow(BaseModel):
    model_config = ConfigDict(extra="forbid")

    profile: Annotated[str, Field(pattern=f"^{PROFILE_ID_PATTERN.pattern}$")] | None = None
    scenario: NonNegativeInt | None = None
    targets: Annotated[tuple[str, ...], Field(min_length=1)]


def read_items(path: Path) -> tuple[Item, ...]:
    """The items in the order of the file. Raises BadInput, also for an id that stands twice."""
    rows = _csv_rows(path) if path.suffix == ".csv" else _json_rows(path)
    lines: dict[str, int] = {}
    found: list[Item] = []
    for line, data in rows:
        row = _checked(_ItemRow, data, path, line)
        if row.id in lines:
            raise BadInput(
                f"{path}:{line}: the id {row.id!r} stands already in line {lines[row.id]}; rename one."
            )
        if len(found) >= MOST_ITEMS:
            raise BadInput(f"{path}: more than {MOST_ITEMS:,} items; choose those that scenarios need.")
        lines[row.id] = line
        # One line each in a prompt, whatever the file holds.
        names = [" ".join(name.split()) for name in (row.name, *row.aliases)]
        found.append(Item(row.id, names[0], tuple(names[1:]), " ".join(row.text.split())))
    if not found:
        raise BadInput(f"{path}: the file holds no item.")
    return tuple(found)


def read_targets(path: Path) -> Targets:
    """(profile or None, scenario or None) to item ids. Raises BadInput, also for a pair that stands twice."""
    found: Targets = {}
    for line, data in _json_rows(path):
        row = _checked(_TargetRow, data, path, line)
        key = (row.profile, row.scenario)
        if key in found:
            raise BadInput(
                f"{path}:{line}: this profile and scenario stand twice; write all targets in one line."
            )
        found[key] = tuple(dict.fromkeys(row.targets))
    return found


def encode_items(items: tuple[Item, ...]) -> str:
    """The list as it is kept and compared: JSON Lines in the order of the file."""
    rows = ([each.item_id, each.name, each.aliases, each.text] for each in items)
    return "\n".join(orjson.dumps(row).decode() for row in rows)


def decode_items(text: str) -> tuple[Item, ...]:
    """The reverse of `encode_items`; raises ValueError."""
    rows = (orjson.loads(line) for line in text.split("\n"))
    return tuple(Item(item_id, name, tuple(aliases), about) for item_id, name, aliases, about in rows)


def encode_targets(targets: Targets) -> str:
    """Targets as they are kept and compared: sorted, so that the order of lines does not count."""
    rows = [orjson.dumps([profile, number, ids]).decode() for (profile, number), ids in targets.items()]
    return "\n".join(sorted(rows))


def decode_targets(text: str) -> Targets:
    """The reverse of `encode_targets`; raises ValueError."""
    rows = (orjson.loads(line) for line in text.split("\n") if line)
    return {(profile, number): tuple(ids) for profile, number, ids in rows}


def _json_rows(path: Path) -> Iterator[tuple[int, object]]:
    for line, text in enumerate(read_text(path).split("\n"), 1):
        if text.strip():
            try:
                yield line, orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise BadInput(f"{path}:{line}: not JSON: {error}.") from error


def _csv_rows(path: Path) -> Iterator[tuple[int, object]]:
    reader = csv.DictReader(StringIO(read_text(path), newline=""), strict=True)
    try:
        columns = reader.fieldnames or []
        if unknown := [name for name in columns if name not in _COLUMNS]:
            raise BadInput(f"{path}:1: there is no column {unknown[0]!r}; known ones: {', '.join(_COLUMNS)}.")
        for row in reader:
            if None in row or None in row.values():
                raise BadInput(f"{path}:{reader.line_num}: has not as many fields as the first line.")
            aliases = [name.strip() for name in row.pop("aliases", "").split("|") if name.strip()]
            yield reader.line_num, {**row, "aliases": aliases}
    except csv.Error as error:
        raise BadInput(f"{path}:{reader.line_num}: cannot be read as CSV: {error}.") from error


def _checked(model: type[Any], data: object, path: Path, line: int) -> Any:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the line"
        raise BadInput(f"{path}:{line}: {where}: {first['msg']}. See docs/scenarios.md.") from error
