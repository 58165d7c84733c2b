"""What cannot be true of one person: rules as data (templates/_profiles/contradictions.yaml), told by words.

A rule says what speaks for one thing and what for another. A word counts as affirmed unless the nearest
earlier word of its clause that is for or against something is against: "avoids meat" and "dislikes fish and
meat" eat none. Found are candidates for a person to look at; meaning beyond words is not understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from engine.errors import BadInput
from engine.profiles.data_file import find_data, read_data

_CLAUSE = re.compile(r"[;.；。!！?？]|\bbut\b|但|却")
_AGE = re.compile(r"\d{1,3}")


class _Side(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    aspects: tuple[str, ...] = Field(alias="in", min_length=1)
    pattern: str
    as_is: bool = False

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        return _compiled(value)

    @cached_property
    def regex(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.IGNORECASE)


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    says: _Side
    also: _Side | None = None
    unless: str | None = None
    same: bool = False
    age_below: int | None = None

    @field_validator("unless")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        return None if value is None else _compiled(value)

    @cached_property
    def excuse(self) -> re.Pattern[str] | None:
        return None if self.unless is None else re.compile(self.unless, re.IGNORECASE)


class _RuleFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    affirming: str = Field(alias="for")
    against: str
    rules: list[_Rule]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A rule that a profile breaks, and the words that break it."""

    rule: str
    says: str
    also: str


class Rules:
    """The rules of one file."""

    def __init__(self, found: _RuleFile) -> None:
        self._rules = found.rules
        self._for = re.compile(found.affirming, re.IGNORECASE)
        self._against = re.compile(found.against, re.IGNORECASE)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(rule.name for rule in self._rules)

    def broken_by(self, aspects: Mapping[str, str]) -> Iterator[Contradiction]:
        """Every rule that a profile breaks, once each."""
        for rule in self._rules:
            said = next(self._affirmed(rule.says, aspects, rule.excuse), None)
            if said is None:
                continue
            if rule.age_below is not None:
                age = _AGE.search(aspects.get("age", ""))
                if age is not None and int(age[0]) < rule.age_below:
                    yield Contradiction(rule.name, said[0], f"age {age[0]}")
            elif rule.also is not None:
                for also in self._affirmed(rule.also, aspects, rule.excuse):
                    if not rule.same or (also.re.groups and also[1].casefold() == said[1].casefold()):
                        yield Contradiction(rule.name, said[0], also[0])
                        break

    def _affirmed(
        self, side: _Side, aspects: Mapping[str, str], excuse: re.Pattern[str] | None
    ) -> Iterator[re.Match[str]]:
        for key in side.aspects:
            for clause in _CLAUSE.split(aspects.get(key, "")):
                if excuse is not None and excuse.search(clause):
                    continue
                for found in side.regex.finditer(clause):
                    if side.as_is or not self._is_denied(clause[: found.start()]):
                        yield found

    def _is_denied(self, before: str) -> bool:
        against = max((found.start() for found in self._against.finditer(before)), default=-1)
        affirming = max((found.start() for found in self._for.finditer(before)), default=-1)
        # "dislikes" holds "like" only where words have no boundaries; on a tie the denial stands.
        return against >= 0 and against + 1 >= affirming


def load_rules(templates: Path | None, config_dir: Path | None) -> Rules:
    """The rules of the configured templates, else the shipped ones. Raises BadInput."""
    path = find_data("contradictions.yaml", templates, config_dir)
    found = read_data(_RuleFile, path)
    for rule in found.rules:
        if rule.also is None and rule.age_below is None:
            raise BadInput(f"{path}: the rule {rule.name!r} has neither also nor age_below.")
    return Rules(found)


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return pattern
