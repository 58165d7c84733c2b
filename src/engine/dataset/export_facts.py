"""What a dataset card tells: where the conversations come from, and what went by while they were written.

`describe_source` reads a run's own facts (models, prompts by digest, rules; or the files of an import).
`ExportCounts` counts what is written, in memory that grows with the distinct names alone, up to a cap.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

from engine.config.identity import identity_digest
from engine.config.matrix import variants_of
from engine.dataset.source import Dataset
from engine.dataset.validation import RULES_VERSION
from engine.journal.imports import ImportFacts, read_import_facts
from engine.journal.inputs import read_inputs
from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader
from engine.schema.annotation import hallucination_of, intents_of, ratings_of
from engine.schema.conversation import STAGE, Role
from engine.schema.dataset import Conversation

_NAMES = 100
_DIGITS = 16


def describe_source(dataset: Dataset) -> dict[str, object]:
    """The facts of a run or file, as JSON."""
    if not dataset.is_run:
        return {"kind": "file", "name": dataset.name, "format": dataset.format}
    with closing(Reader(dataset.path / JOURNAL_NAME)) as reader:
        facts = read_import_facts(reader)
        return _import(dataset.name, facts) if facts is not None else _run(dataset.name, reader)


def _import(name: str, facts: ImportFacts) -> dict[str, object]:
    settings = {key: value for key, value in facts.settings.items() if key != "mapping"}
    files = [{"name": file.name, "sha256": file.sha256} for file in facts.files]
    return {"kind": "import", "name": name, **settings, "files": files, "is_complete": facts.is_complete}


def _run(name: str, reader: Reader) -> dict[str, object]:
    inputs = read_inputs(reader)
    config = inputs.config
    models = {}
    for variant in variants_of(config):
        settings = variant.settings
        models[variant.title] = {
            "model": settings.model,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_tokens,
            **({"prompt": variant.prompt} if variant.prompt else {}),
            **({"further": dict(settings.extra)} if settings.extra else {}),
        }
    return {
        "kind": "run",
        "name": name,
        "identity": identity_digest(reader.identity(STAGE)),
        "seed": config.seed,
        "language": config.language,
        "models": models,
        "prompts": {
            source: hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
            for source, text in inputs.catalog.sources().items()
        },
        "conversation": {
            "setup": config.conversation.setup,
            "opener": config.conversation.opener,
            "max_rounds": config.conversation.max_rounds,
            "end_check": config.conversation.end_check,
            "assistant_prompt": config.conversation.assistant_prompt,
        },
        "validation": {
            "rules_version": RULES_VERSION if config.validation.enabled else None,
            "drops": config.validation.enabled and config.validation.drop,
        },
        "gates": list(config.gates.use),
        "planned": len(inputs.plan),
        "ended": reader.ended(STAGE),
    }


@dataclass(slots=True)
class ExportCounts:
    """Counts of what was written. `rows` is by table, then by part; `left_out` by reason."""

    conversations: int = 0
    utterances: int = 0
    rounds: int = 0
    rehearsed: int = 0
    rows: dict[str, Counter[str]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    dropped_because: Counter[str] = field(default_factory=Counter)
    parts: Counter[str] = field(default_factory=Counter)
    by: dict[str, Counter[str]] = field(default_factory=dict)
    hallucination: Counter[str] = field(default_factory=Counter)
    rating_sums: Counter[str] = field(default_factory=Counter)
    ratings: Counter[str] = field(default_factory=Counter)
    origins: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, conversation: Conversation, part: str, author: str | None) -> None:
        """Count a conversation that is written."""
        self.conversations += 1
        self.parts[part] += 1
        self.utterances += len(conversation.turns)
        self.rounds += conversation.rounds
        self.rehearsed += conversation.extra.get("is_rehearsal") is True
        self._count("task", conversation.task)
        self._count("language", conversation.language)
        self._count("construction", conversation.construction.value)
        self._count("end_reason", conversation.end_reason or "")
        for side, model in conversation.models.items():
            self._count(f"{side}_model", model)
        for flag in conversation.flags:
            self._count("flag", flag)
        origin = conversation.origin
        key = (origin.format, origin.licence, origin.attribution)
        self.origins[key if key in self.origins or len(self.origins) < _NAMES else ("(others)", "", "")] += 1
        for metric, score in ratings_of(conversation.annotations, author).items():
            self.rating_sums[metric] += score
            self.ratings[metric] += 1
        authors = {each.author for each in conversation.annotations}
        for turn in conversation.turns:
            authors.update(each.author for each in turn.annotations)
            if turn.role is Role.USER:
                for label in intents_of(turn.annotations, author):
                    self._count("intent", label)
            elif (verdict := hallucination_of(turn.annotations, author)) is not None:
                self.hallucination[_VERDICTS[verdict.is_hallucinated]] += 1
        for name in authors:
            self._count("author", name)

    def add_rows(self, table: str, part: str, rows: int) -> None:
        """Count rows of a table."""
        self.rows.setdefault(table, Counter())[part] += rows

    def as_dict(self) -> dict[str, object]:
        """The counts as JSON."""
        return {
            "conversations": self.conversations,
            "utterances": self.utterances,
            "rounds": self.rounds,
            "rehearsed": self.rehearsed,
            "rows": {table: ordered(rows) for table, rows in self.rows.items()},
            "parts": {part: count for part, count in ordered(self.parts).items() if part},
            "left_out": dict(self.left_out),
            "dropped_because": dict(self.dropped_because),
            **{f"by_{name}": dict(counts.most_common()) for name, counts in self.by.items()},
            "hallucination": dict(self.hallucination),
            "mean_ratings": {
                name: round(self.rating_sums[name] / self.ratings[name], 4) for name in self.ratings
            },
            "origins": [
                {"format": form, "licence": licence, "attribution": attribution, "conversations": count}
                for (form, licence, attribution), count in self.origins.most_common()
            ],
        }

    def named(self, name: str) -> Mapping[str, int]:
        """One of the counts by name, the most frequent first, nameless ones left out."""
        return {key: count for key, count in self.by.get(name, Counter()).most_common() if key}

    def _count(self, name: str, key: str) -> None:
        counts = self.by.setdefault(name, Counter())
        counts[key if key in counts or len(counts) < _NAMES else "(others)"] += 1


def ordered(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by part in the parts' usual order."""
    return {part: counts[part] for part in sorted(counts, key=_ORDER.index)}


_ORDER = ("", "train", "validation", "test")
_VERDICTS = {True: "hallucinated", False: "not hallucinated", None: "cannot tell"}
