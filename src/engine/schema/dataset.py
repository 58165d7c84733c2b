"""One record for every dataset: what a conversation is, whoever held it and whatever file it came from.

The engine's own runs, imported runs and foreign files are all read as `Conversation`. Nothing is lost on the
way: what has no field of its own stays in `extra`, and the record's bytes as they came in `source_bytes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise

from engine.schema.annotation import Annotation, Kind, LabelSet
from engine.schema.conversation import Role


class Construction(StrEnum):
    """Who spoke: the paper's Figure 1."""

    HUMAN_HUMAN = "human-human"
    HUMAN_LLM = "human-LLM"
    LLM_LLM = "LLM-LLM"
    TEMPLATES = "templates"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationTurn:
    """One speaker's contribution. `content` is the utterance as it came, unstripped.

    `translations`: language code to text. `annotations` are about this turn. `flags` are names of what
    validation or an import noticed. `extra` holds the message's further fields.
    """

    role: Role
    content: str
    translations: Mapping[str, str] = field(default_factory=dict)
    annotations: tuple[Annotation, ...] = ()
    flags: tuple[str, ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioText:
    """The scenario as a dataset gives it: its number within the task, where it has one, and its text."""

    number: int | None = None
    text: str = ""
    translations: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileText:
    """The profile as a dataset gives it. `fields`: aspect key (see `schema.profile`) to text, if known."""

    profile_id: str = ""
    text: str = ""
    translations: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a record came from: its format, the file (name only) and line, licence and whom to name."""

    format: str
    file: str = ""
    line: int = 0
    licence: str = ""
    attribution: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One conversation of any dataset.

    `task` is the task's name as in the paper ("travel planning"), empty where there is none. `turns` holds
    user and assistant turns alone; system and tool messages are in `extra["other_messages"]`, a list of
    {"at": number of turns before it, "message": as it came}. `person` is the opaque id of a human user.
    `models`: `simulator` / `assistant` to model name. `flags` name what validation or the import noticed;
    `dropped_because` is empty for a kept conversation. `label_sets`: annotation kind to its labels.
    """

    conversation_id: str
    turns: tuple[ConversationTurn, ...]
    origin: Origin
    task: str = ""
    scenario: ScenarioText = field(default_factory=ScenarioText)
    profile: ProfileText = field(default_factory=ProfileText)
    person: str = ""
    language: str = ""
    construction: Construction = Construction.UNKNOWN
    models: Mapping[str, str] = field(default_factory=dict)
    annotations: tuple[Annotation, ...] = ()
    label_sets: Mapping[str, LabelSet] = field(default_factory=dict)
    end_reason: str | None = None
    flags: tuple[str, ...] = ()
    dropped_because: tuple[str, ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict)
    source_bytes: bytes = field(default=b"", repr=False)

    @property
    def is_kept(self) -> bool:
        """Whether it passed validation; imported conversations always do: they are flagged, not dropped."""
        return not self.dropped_because

    @property
    def rounds(self) -> int:
        """User turns that an assistant turn answers."""
        pairs = pairwise(self.turns)
        return sum(a.role is Role.USER and b.role is Role.ASSISTANT for a, b in pairs)

    def with_annotations(self, added: tuple[Annotation, ...]) -> Conversation:
        """A copy that carries `added` as well, each at the turn or conversation that it is about.

        A turn's translation also goes into its `translations`, where the data brought none.
        """
        if not added:
            return self
        turns = list(self.turns)
        whole = list(self.annotations)
        for annotation in added:
            at = annotation.target.turn
            if at is None or not 0 <= at < len(turns):
                whole.append(annotation)
            else:
                turns[at] = _annotated(turns[at], annotation)
        return replace(self, turns=tuple(turns), annotations=tuple(whole))


def _annotated(turn: ConversationTurn, annotation: Annotation) -> ConversationTurn:
    translations = turn.translations
    if annotation.kind == Kind.TRANSLATION and isinstance(annotation.value, Mapping):
        language, text = annotation.value.get("language"), annotation.value.get("text")
        if isinstance(language, str) and isinstance(text, str):
            translations = {language: text} | dict(translations)
    return replace(turn, annotations=(*turn.annotations, annotation), translations=translations)
