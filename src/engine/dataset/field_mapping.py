"""A field mapping says, in YAML, where any JSON record keeps its messages, roles, ids and texts.

A place is a path of keys with dots (`meta.user.id`), a list of such paths (the first that is there counts),
or a fixed text, `{text: ...}`. Who said a message is known in one of three ways: by a field of the message,
by a prefix of its text, or because speakers alternate. What no place names stays in `extra`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.dataset.record_format import (
    NotARecord,
    Place,
    RecordFormat,
    id_of,
    origin_of,
    rest_of,
    text_of,
)
from engine.errors import BadInput
from engine.schema.conversation import Role
from engine.schema.dataset import Construction, Conversation, ConversationTurn, ProfileText, ScenarioText


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fixed(_Strict):
    """A text that is the same in every record."""

    text: str


class SameAs(_Strict):
    """A speaker: whoever a field of the record names."""

    field: str


Path = Annotated[str, Field(min_length=1)]
Where = Path | Annotated[list[Path], Field(min_length=1)] | Fixed
Speaker = SameAs | Annotated[list[str], Field(min_length=1)]


class MessageMapping(_Strict):
    """How one message is read. Exactly one of `role`, `prefixes` and `alternating` says who speaks.

    `user` and `assistant` list the values of `role`, or name the record's field that holds the value.
    Messages of other speakers are kept aside as they came.
    """

    role: Path | None = None
    user: Speaker | None = None
    assistant: Speaker | None = None
    text: Path | None = None
    prefixes: dict[Literal["user", "assistant"], list[str]] | None = None
    alternating: Literal["user", "assistant"] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> MessageMapping:
        if sum(way is not None for way in (self.role, self.prefixes, self.alternating)) != 1:
            raise ValueError("name exactly one of role, prefixes and alternating")
        if self.role is not None and (self.user is None or self.assistant is None):
            raise ValueError("role needs user and assistant: the values that stand for them")
        return self


class FieldMapping(_Strict):
    """A whole mapping, as its file holds it."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    messages: Where
    message: MessageMapping
    id: Where | None = None
    task: Where | None = None
    language: Where | None = None
    person: Where | None = None
    scenario: Where | None = None
    profile: Where | None = None
    profile_id: Where | None = None
    end_reason: Where | None = None
    models: dict[Literal["simulator", "assistant"], Where] = {}
    construction: Construction = Construction.UNKNOWN
    licence: str = ""
    attribution: str = ""


def parse_mapping(text: str, *, source: str) -> FieldMapping:
    """The mapping in YAML `text`; raises BadInput that names `source` and each wrong key."""
    try:
        return FieldMapping.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise BadInput(f"{source}: is no YAML ({error}).") from None
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'the mapping'}: {each['msg']}" for each in error.errors()
        )
        raise BadInput(
            f"{source}: is no field mapping: {wrong}. docs/datasets.md describes the keys, and "
            f"{', '.join(shipped_mappings())} are there to start from."
        ) from None


@cache
def shipped_mappings() -> Mapping[str, str]:
    """Name to YAML text of the mappings that come with the engine."""
    folder = resources.files("engine.dataset") / "mappings"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".yaml"): file.read_text("utf-8")
        for file in files
        if file.name.endswith(".yaml")
    }


def format_of_mapping(mapping: FieldMapping) -> RecordFormat:
    """The format that a mapping describes."""
    return RecordFormat(mapping.name, lambda _: False, lambda record, place: _read(mapping, record, place))


def _read(mapping: FieldMapping, record: Mapping[str, object], place: Place) -> Conversation:
    messages = _find(record, mapping.messages)
    if not isinstance(messages, list):
        raise NotARecord(f"has no list of messages under {_shown(mapping.messages)}")
    turns: list[ConversationTurn] = []
    others: list[dict[str, object]] = []
    for index, message in enumerate(messages):
        role, text, extra = _understand(mapping.message, record, message, index)
        if role is None:
            others.append({"at": len(turns), "message": message})
        else:
            turns.append(ConversationTurn(role=role, content=text, extra=extra))
    used = _taken_whole(mapping, record)
    return Conversation(
        conversation_id=id_of(_find(record, mapping.id), place),
        turns=tuple(turns),
        origin=origin_of(mapping.name, place, mapping.licence, mapping.attribution),
        task=_text(record, mapping.task),
        scenario=ScenarioText(text=_text(record, mapping.scenario)),
        profile=ProfileText(
            profile_id=_text(record, mapping.profile_id), text=_text(record, mapping.profile)
        ),
        person=_text(record, mapping.person),
        language=_text(record, mapping.language),
        construction=mapping.construction,
        models={side: _text(record, where) for side, where in mapping.models.items()},
        end_reason=_text(record, mapping.end_reason) or None,
        flags=("other_speakers",) if others else (),
        extra=rest_of(record, used) | ({"other_messages": others} if others else {}),
    )


def _understand(
    how: MessageMapping, record: Mapping[str, object], message: object, index: int
) -> tuple[Role | None, str, dict[str, object]]:
    """(who speaks, the text, the message's further fields); nobody where it is neither side."""
    extra: dict[str, object] = {}
    if isinstance(message, dict):
        if how.text is None:
            raise NotARecord(
                "has messages that are objects; the mapping's message.text must say where the text is"
            )
        text = text_of(_find(message, how.text))
        extra = rest_of(message, [path for path in (how.text, how.role) if path and "." not in path])
    else:
        text = text_of(message)
    if how.alternating is not None:
        first = how.alternating == "user"
        return Role.USER if (index % 2 == 0) is first else Role.ASSISTANT, text, extra
    if how.prefixes is not None:
        for side, prefixes in how.prefixes.items():
            for prefix in prefixes:
                if text.lstrip().startswith(prefix):
                    return Role(side), text.lstrip().removeprefix(prefix).removeprefix(" "), extra
        return None, text, extra
    assert how.role is not None
    if not isinstance(message, dict):
        raise NotARecord(f"holds at {index} a message that is no object")
    said_by = text_of(_find(message, how.role))
    for role, speaker in ((Role.USER, how.user), (Role.ASSISTANT, how.assistant)):
        names = [text_of(_find(record, speaker.field))] if isinstance(speaker, SameAs) else speaker or ()
        if said_by in names:
            return role, text, extra
    return None, text, extra


def _find(record: Mapping[str, object], where: Where | None) -> object:
    if isinstance(where, Fixed):
        return where.text
    return _locate(record, where)[1]


def _locate(record: Mapping[str, object], where: str | Sequence[str] | None) -> tuple[str, object]:
    """(path, value) of the first of the paths that is there; ("", None) where none is."""
    for path in [where] if isinstance(where, str) else where or ():
        found: object = record
        for key in path.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        if found is not None:
            return path, found
    return "", None


def _text(record: Mapping[str, object], where: Where | None) -> str:
    return text_of(_find(record, where))


def _taken_whole(mapping: FieldMapping, record: Mapping[str, object]) -> Sequence[str]:
    """Fields of the record that have a place of their own; one that is only looked into must stay."""
    places = [
        mapping.id, mapping.messages, mapping.task, mapping.language, mapping.person, mapping.scenario,
        mapping.profile, mapping.profile_id, mapping.end_reason, *mapping.models.values(),
    ]  # fmt: skip
    return [_locate(record, place)[0] for place in places if not isinstance(place, Fixed)]


def _shown(where: Where) -> str:
    return (
        f"`{where}`"
        if isinstance(where, str)
        else " or ".join(f"`{p}`" for p in where)
        if isinstance(where, list)
        else "a fixed text"
    )
