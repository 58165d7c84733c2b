"""The dataset card, README.md: written from the export's facts alone, and from nothing that is not known.

Its head is the YAML that the Hugging Face Hub reads: licence, languages, size and, where the files are
tables, which file is which split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from engine.dataset.export_facts import ExportCounts, ordered
from engine.dataset.licence import UNKNOWN
from engine.dataset.personal_data import KINDS, Scan
from engine.version import __version__

_HUB_LICENCES = {
    "apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "odc-by",
    "cdla-permissive-2.0",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """A table that `datasets.load_dataset` finds: its name, and split to the pattern of its files."""

    name: str
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """All that a card is written from. `options` are the export's own words for what was asked."""

    name: str
    form: str
    source: Mapping[str, object]
    counts: ExportCounts
    scan: Scan
    is_redacted: bool
    licence: str
    options: Mapping[str, str]
    view: str = ""
    configs: Sequence[Config] = ()
    how_to_load: str = ""
    split_note: str = ""
    fields: Sequence[str] = field(default_factory=tuple)


def write_card(facts: CardFacts) -> str:
    """The card's text."""
    counts = facts.counts
    sections = [
        f"# {facts.name}",
        _summary(facts),
        "## How to load",
        f"```python\n{facts.how_to_load}\n```",
        "## Contents",
        _contents(facts),
        "## Where it comes from",
        _source(facts.source),
        "## Selection",
        _selection(facts),
        "## Annotations",
        _annotations(counts),
        "## Personal data",
        _personal_data(facts),
        "## Licence",
        _licence(facts),
        "## Limits",
        "\n".join(f"- {limit}" for limit in _limits(facts)),
    ]
    head = yaml.safe_dump(_head(facts), sort_keys=False, allow_unicode=True)
    return f"---\n{head}---\n\n" + "\n\n".join(section for section in sections if section) + "\n"


def _head(facts: CardFacts) -> dict[str, object]:
    counts = facts.counts
    head: dict[str, object] = {"pretty_name": facts.name}
    licence = facts.licence.lower()
    if licence == UNKNOWN or licence in _HUB_LICENCES:
        head["license"] = licence
    else:
        head |= {"license": "other", "license_name": facts.licence}
    languages = [name for name in counts.named("language") if len(name) in (2, 3)]
    head["language"] = languages or ["und"]
    head["task_categories"] = ["text-generation"]
    head["tags"] = ["conversational", "recommendation", "user-simulation"]
    head["size_categories"] = [_size(counts.conversations)]
    if facts.configs:
        head["configs"] = [
            {
                "config_name": config.name,
                **({"default": True} if number == 0 else {}),
                "data_files": [{"split": split, "path": path} for split, path in config.files.items()],
            }
            for number, config in enumerate(facts.configs)
        ]
    return head


def _size(count: int) -> str:
    bounds = [(10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M")]
    bounds.append((10**7, "1M<n<10M"))
    return next((name for bound, name in bounds if count < bound), "10M<n<100M")


def _summary(facts: CardFacts) -> str:
    counts = facts.counts
    mean = counts.utterances / counts.conversations if counts.conversations else 0
    text = (
        f"{counts.conversations} conversations with {counts.utterances} utterances ({mean:.2f} each, "
        f"{counts.rounds} rounds), written by recsim-engine {__version__} as `{facts.form}`."
    )
    if counts.rehearsed:
        text += (
            f"\n\n**{counts.rehearsed} of them are rehearsals: their text is canned and no model wrote it. "
            "They are for trying things out and no data.**"
        )
    return f"{text}\n\n{facts.view}" if facts.view else text


def _contents(facts: CardFacts) -> str:
    counts = facts.counts
    parts = [part for part in counts.parts if part]
    lines = []
    if parts:
        lines += [_table(("part", "conversations"), ordered(counts.parts).items()), "", facts.split_note, ""]
    for table, rows in counts.rows.items():
        total = ", ".join(f"{count} in {part}" for part, count in ordered(rows).items() if part) or str(
            rows.total()
        )
        lines.append(f"- {table}: {total} rows")
    lines.append("")
    for title, name in (("task", "task"), ("language", "language"), ("who spoke", "construction"),
                        ("end reason", "end_reason"), ("flag", "flag")):  # fmt: skip
        if found := counts.named(name):
            lines += [_table((title, "conversations"), found.items()), ""]
    if facts.fields:
        lines.append("Fields: " + ", ".join(f"`{name}`" for name in facts.fields) + ".")
    return "\n".join(lines).strip()


def _source(source: Mapping[str, object]) -> str:
    lines = []
    match source["kind"]:
        case "run":
            lines.append(
                f"A run of the engine, `{source['name']}` (identity {source['identity']}, seed "
                f"{source['seed']}): {source['ended']} of {source['planned']} planned conversations had "
                "ended."
            )
            for side, model in _items(source["models"]):
                asked = ", ".join(f"{key} {value}" for key, value in _items(model) if key != "model")
                lines.append(f"- {side}: `{dict(_items(model))['model']}` ({asked})")
            lines.append(
                "- dialogue: " + ", ".join(f"{key} {v}" for key, v in _items(source["conversation"]))
            )
            rules = dict(_items(source["validation"]))
            lines.append(
                f"- validation: rules version {rules['rules_version']}, "
                + ("what breaks them is dropped" if rules["drops"] else "nothing is dropped for its content")
            )
            gates = source["gates"]
            assert isinstance(gates, list)
            lines.append(f"- gates: {', '.join(gates) or 'none'}")
            lines += ["", "Prompts and templates, by the first digits of their SHA-256:", ""]
            lines.append(
                _table(("text", "SHA-256"), ((f"`{k}`", f"`{v}`") for k, v in _items(source["prompts"])))
            )
        case "import":
            lines.append(f"Imported into the run `{source['name']}`, format `{source['format']}`, from:")
            files = source["files"]
            assert isinstance(files, list)
            lines += ["", _table(("file", "SHA-256"), ((f["name"], f"`{f['sha256']}`") for f in files))]
            if not source["is_complete"]:
                lines += ["", "The import had not come to its end when this was written."]
        case _:
            lines.append(f"Read from the file `{source['name']}`, format `{source['format']}`.")
    return "\n".join(lines)


def _selection(facts: CardFacts) -> str:
    lines = [f"- {name}: {value}" for name, value in facts.options.items()]
    left = facts.counts.left_out
    lines.append(f"- left out: {', '.join(f'{n} ({why})' for why, n in left.most_common()) or 'nothing'}")
    if facts.counts.dropped_because:
        by = ", ".join(f"{rule} {count}" for rule, count in facts.counts.dropped_because.most_common())
        lines.append(f"- dropped by validation, by first reason: {by}")
    return "\n".join(lines)


def _annotations(counts: ExportCounts) -> str:
    authors = counts.named("author")
    if not authors:
        return "None."
    lines = ["By " + ", ".join(f"`{name}`" for name in authors) + ".", ""]
    if intents := counts.named("intent"):
        lines += [_table(("intent of a user turn", "turns"), intents.items()), ""]
    if counts.hallucination:
        lines += [_table(("verdict on a reply", "replies"), counts.hallucination.most_common()), ""]
    if counts.ratings:
        means = ((name, f"{counts.rating_sums[name] / n:.3f}", n) for name, n in counts.ratings.items())
        lines += [_table(("rating", "mean", "conversations"), means), ""]
    return "\n".join(lines).strip()


def _personal_data(facts: CardFacts) -> str:
    scan = facts.scan
    rows = [(kind, scan.in_utterances[kind], scan.elsewhere[kind]) for kind in KINDS]
    done = (
        "All of them were replaced by marks such as `[EMAIL]`."
        if facts.is_redacted
        else "They are in the files as they came; `--redact` replaces them."
    )
    return (
        _table(("found", "in utterances", "elsewhere"), rows)
        + f"\n\nIn {scan.conversations} conversations. {done} The scan knows forms of numbers and addresses; "
        "names and postal addresses of people are not looked for, and what it finds may be made up."
    )


def _licence(facts: CardFacts) -> str:
    if facts.licence == UNKNOWN:
        text = "No licence was chosen for the whole; see LICENSE."
    else:
        text = f"{facts.licence}; see LICENSE."
    return f"{text} Makers of imported parts are named in NOTICE."


def _limits(facts: CardFacts) -> Iterable[str]:
    counts = facts.counts
    makers = counts.named("construction")
    if "LLM-LLM" in makers:
        yield (
            "Both sides of LLM-LLM conversations were written by models: users are simulated, may agree too "
            "readily, and what they say about places, products or prices may be wrong."
        )
    if counts.named("simulator_model") or counts.named("assistant_model"):
        yield "The makers of the models may restrict what their output is used for; their terms apply."
    if any(name.startswith("judge:") for name in counts.named("author")):
        yield "Labels by `judge:...` are a model's, not a person's."
    if counts.named("language") and len(counts.named("language")) == 1:
        yield f"All conversations are in one language ({next(iter(counts.named('language')))})."
    yield "Flags say what looked odd to rules of form; a conversation without flags need not be a good one."


def _items(value: object) -> list[tuple[str, object]]:
    return list(value.items()) if isinstance(value, Mapping) else []


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join('---' for _ in heads)} |"]
    lines += [f"| {' | '.join(_plain(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _plain(cell: object) -> str:
    """A cell that cannot break the table, nor be taken for markup."""
    return " ".join(str(cell).replace("|", "\\|").replace("<", "&lt;").split())
