"""Every format that import reads, by name; and which one a file is in, by looking at its first record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from engine.dataset.encode_jsonl import JSONL
from engine.dataset.engine_record import ENGINE
from engine.dataset.field_mapping import format_of_mapping, parse_mapping
from engine.dataset.messages import OPENAI, SHAREGPT
from engine.dataset.recllmsim import RECLLMSIM, REFERENCE
from engine.dataset.record_format import NotARecord, Place, RecordFormat, parse
from engine.errors import BadInput
from engine.schema.dataset import Construction, Conversation

FORMATS: Mapping[str, RecordFormat] = {
    form.name: form for form in (ENGINE, JSONL, REFERENCE, RECLLMSIM, OPENAI, SHAREGPT)
}
# Settings of an import that say what its records do not say themselves.
OVERRIDES = ("task", "language", "construction", "licence", "attribution")


def find_format(place: Place, raw: bytes, path: Path) -> RecordFormat:
    """The format of a file by its first record; raises BadInput where it is none that is known."""
    try:
        record = parse(raw)
    except NotARecord as problem:
        raise BadInput(
            f"{path}, line {place.line}: this record {problem}, so it does not tell the file's format. "
            "Name it with --format; the record is then kept apart, and the others are read."
        ) from None
    found = next((form for form in FORMATS.values() if form.fits(record)), None)
    if found is None:
        keys = ", ".join(list(record)[:8])
        raise BadInput(
            f"{path}, line {place.line}: a record with the fields {keys} is in no format that is known "
            f"({', '.join(FORMATS)}). Write a field mapping for it and name it with --format mapping "
            "MAPPING.yaml; docs/datasets.md says how."
        )
    return found


def format_of_settings(settings: Mapping[str, str]) -> RecordFormat:
    """The format that an import was made with: `format`, the text of a `mapping`, and `OVERRIDES`."""
    if "mapping" in settings:
        form = format_of_mapping(parse_mapping(settings["mapping"], source="the run's field mapping"))
    else:
        form = FORMATS[settings["format"]]
    overrides = {key: settings[key] for key in OVERRIDES if key in settings}
    if not overrides:
        return form
    read = form.read
    return replace(form, read=lambda record, place: _told(read(record, place), overrides))


def _told(conversation: Conversation, overrides: Mapping[str, str]) -> Conversation:
    """What the record says itself is kept; licence and construction are the importer's to say."""
    origin = replace(
        conversation.origin,
        licence=overrides.get("licence", conversation.origin.licence),
        attribution=overrides.get("attribution", conversation.origin.attribution),
    )
    construction = conversation.construction
    if "construction" in overrides:
        construction = Construction(overrides["construction"])
    return replace(
        conversation,
        origin=origin,
        construction=construction,
        task=conversation.task or overrides.get("task", ""),
        language=conversation.language or overrides.get("language", ""),
    )
