"""Profiles of the people behind reviews or purchases: one question a person, with the ids of what was shown.

A line of the file is an object with a person and some text. Which fields those are is told by their names,
or by options; nothing else of a line is sent. What does not fit the model's context is left out, and
counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path

import orjson

from engine.config.model_settings import ModelSettings
from engine.errors import BadInput
from engine.journal.reader import Reader
from engine.profiles.prompts import Prompts
from engine.profiles.reading import read_reply
from engine.profiles.session import ATTEMPTS, INCOMPLETE, VERSION, profiles_schema
from engine.runner.stage import DONE, Ask, End, Stage, StageItem, Steps, recorded_items
from engine.schema.call import CallKind
from engine.schema.profile import Profile
from engine.wire.formats import decode_recorded

STAGE_NAME = "profiles-derived"
PERSON_FIELDS = (
    "user", "user_id", "reviewer", "reviewer_id", "reviewerID", "author", "customer", "customer_id",
)  # fmt: skip
TEXT_FIELDS = (
    "title", "summary", "text", "review", "review_text", "reviewText", "body", "item", "product",
    "product_name", "name", "category", "rating", "stars", "price", "quantity",
)  # fmt: skip
ID_FIELDS = ("id", "review_id", "purchase_id", "order_id", "asin", "item_id", "product_id")
_TEXT_CHARS = 600
_MOST_TEXTS = 40
_BYTES_PER_TOKEN = 3
_CONTEXT_TOKENS = 8192


@dataclass(slots=True)
class Source:
    """What one person left: texts and their ids, the first so many; `left_out` counts the others."""

    person: str
    texts: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    left_out: int = 0


def read_sources(path: Path, person: str | None = None, texts: Sequence[str] = ()) -> list[Source]:
    """The people of a file in order of appearance. Raises BadInput with file and line."""
    found: dict[str, Source] = {}
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    _add(found, line, f"{path}:{number}", number, person, texts)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}.") from error
    if not found:
        raise BadInput(f"{path}: holds no review or purchase. See docs/profiles.md.")
    return list(found.values())


def _add(
    found: dict[str, Source], line: bytes, place: str, number: int, person: str | None, texts: Sequence[str]
) -> None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"{place}: not JSON: {error.msg}.") from error
    if not isinstance(record, dict):
        raise BadInput(f"{place}: a review or purchase is a JSON object.")
    who = _first(record, (person,) if person else PERSON_FIELDS)
    if who is None:
        wanted = person or ", ".join(PERSON_FIELDS)
        raise BadInput(f"{place}: names no person (looked for: {wanted}). Name the field with --person.")
    parts = [f"{key}: {record[key]}" for key in (texts or TEXT_FIELDS) if _is_plain(record.get(key))]
    if not parts:
        wanted = ", ".join(texts or TEXT_FIELDS)
        raise BadInput(f"{place}: holds no text (looked for: {wanted}). Name the fields with --text.")
    source = found.setdefault(who, Source(who))
    if len(source.texts) == _MOST_TEXTS:
        source.left_out += 1
        return
    source.texts.append(" ".join("; ".join(parts).split())[:_TEXT_CHARS])
    source.ids.append(_first(record, ID_FIELDS) or f"line {number}")


def _first(record: Mapping[str, object], keys: Iterable[str]) -> str | None:
    return next((str(record[key]) for key in keys if _is_plain(record.get(key))), None)


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip() != ""


def _digest(sources: Sequence[Source]) -> str:
    digest = blake2b(digest_size=16)
    for source in sources:
        digest.update(orjson.dumps([source.person, source.texts, source.ids, source.left_out]))
    return digest.hexdigest()


def item_id(position: int) -> str:
    """The item of the person at `position` (from 1) in the journal."""
    return f"person-{position:06}"


def derive_stage(prompts: Prompts, settings: ModelSettings, sources: Sequence[Source]) -> Stage:
    """One item per person. The sources themselves are identity, so that a changed file is refused."""
    return Stage(
        name=STAGE_NAME,
        role="profiles",
        settings=settings,
        items=lambda: (
            StageItem(item_id(i), partial(_ask_person, prompts, settings, source))
            for i, source in enumerate(sources, 1)
        ),
        identity={
            "sources": _digest(sources), "profiles.version": VERSION, "profiles.attempts": ATTEMPTS,
            "profiles.language": prompts.version.language, **prompts.identity,
        },
        schema=profiles_schema(prompts.version.keys),
        noun="people",
    )  # fmt: skip


def _ask_person(prompts: Prompts, settings: ModelSettings, source: Source) -> Steps:
    message, shown = _message(prompts, settings, source)
    reason = ""
    for attempt in range(ATTEMPTS):
        reply = yield Ask("profile", (("user", message),), attempt)
        read = read_reply(reply, prompts.version.aspects)
        if len(read.profiles) == 1:
            left_out = source.left_out + len(source.ids) - shown
            note = {"attempt": attempt, "ids": source.ids[:shown], "left_out": left_out}
            return End(DONE, orjson.dumps(note).decode())
        reason = read.unread[0].reason if read.unread else f"{len(read.profiles)} profiles"
    return End(INCOMPLETE, orjson.dumps({"reason": reason}).decode())


def _message(prompts: Prompts, settings: ModelSettings, source: Source) -> tuple[str, int]:
    """The question, with as many texts as fit; how many those are."""
    room = ((settings.context_tokens or _CONTEXT_TOKENS) - settings.max_tokens) * _BYTES_PER_TOKEN
    shown = len(source.texts)
    while True:
        message = prompts.from_texts(source.texts[:shown], source.left_out + len(source.texts) - shown)
        if shown == 1 or len(orjson.dumps(message)) <= room:
            return message, shown
        shown = shown // 2


def derived_profiles(
    reader: Reader, prompts: Prompts, sources: Sequence[Source], provenance: Mapping[str, str]
) -> Iterator[Profile]:
    """The profiles that the journal holds, in the order of people."""
    names = (item_id(i) for i in range(1, len(sources) + 1))
    for outcome, calls in recorded_items(reader, STAGE_NAME, names):
        if outcome.result != DONE:
            continue
        note = orjson.loads(outcome.note)
        said = next(call for call in calls if call.kind == CallKind.REPLY and call.attempt == note["attempt"])
        [values] = read_reply(decode_recorded(said.reply), prompts.version.aspects).profiles
        shown = {"source_ids": ", ".join(note["ids"]), "left_out": str(note["left_out"])}
        name = f"d{outcome.item.removeprefix('person-')}"
        yield Profile(name, values, provenance={**provenance, **shown})
