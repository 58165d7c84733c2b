"""A run's identity: the settings that decide its content, as named fields that can be compared.

Not identity, and free to change between a start and a resume: base URLs, keys, headers, limits,
concurrency, transport, validation, where files lie, and how much of the plan is done (limit, repeat,
tasks, profiles: a plan may be extended). Templates and profiles are compared by their own texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

import orjson

from engine.config.matrix import cells_of, variants_of
from engine.config.model_settings import ModelSettings
from engine.config.settings import RunConfig
from engine.errors import IdentityChanged
from engine.schema.gate import GATES_VERSION

_SHOWN = 60
_LISTED = 20
_CELL = "cell "


def identity_fields(config: RunConfig) -> dict[str, str]:
    """Field name to canonical JSON of its value, for the conversation stage."""
    fields: dict[str, object] = {"seed": config.seed, "language": config.language}
    for variant in variants_of(config):
        # Conversations are neither cut nor asked for as JSON.
        for name, value in _parameters(variant.settings, {"structured", "context_tokens"}).items():
            fields[f"{variant_prefix(variant.stage, variant.name)}{name}"] = value
        if variant.prompt is not None:
            fields[f"{variant_prefix(variant.stage, variant.name)}prompt"] = variant.prompt
    if config.matrix is not None:
        for cell in cells_of(config).values():
            fields[f"{_CELL}{cell.name}"] = [cell.simulator.name, cell.assistant.name]
    for name, value in config.conversation.model_dump(mode="json").items():
        fields[f"conversation.{name}"] = value
    if config.gates.use:  # a run without gates is the same whatever their version
        fields["gates.use"] = sorted(set(config.gates.use))
        fields["gates.regenerate"] = config.gates.regenerate
        fields["gates.version"] = GATES_VERSION
    if config.is_rehearsal:
        fields["rehearsal.defect_rate"] = config.rehearsal.defect_rate
    return canonical(fields)


def variant_prefix(stage: str, name: str = "") -> str:
    """How the fields of a side's model begin: `simulator.`, or `simulator@small.` in a matrix."""
    return f"{stage}@{name}." if name else f"{stage}."


def cells_in(fields: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The cells of an identity: name to the names of simulator and assistant; none without a matrix."""
    return {
        name.removeprefix(_CELL): (str(names[0]), str(names[1]))
        for name, value in fields.items()
        if name.startswith(_CELL) and (names := orjson.loads(value))
    }


def compare_runs(then: Mapping[str, str], now: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """As `compare`, for a run and what it is to be worked on with: a matrix may grow.

    Cells that only `now` has, and variants that only these use, are no difference.
    """
    if not cells_in(then):
        return compare(then, now)
    return compare(then, {name: value for name, value in now.items() if not _is_added(name, then)})


def _is_added(name: str, then: Mapping[str, str]) -> bool:
    """Whether a field is of a cell or a variant that `then` does not have."""
    variant = name.rpartition(".")[0]
    if name.startswith(_CELL):
        return name not in then
    return "@" in variant and f"{variant}.model" not in then


def model_fields(settings: ModelSettings) -> dict[str, object]:
    """What decides the replies of a stage's model, field by field; for stages beside the conversation."""
    return {f"model.{name}": value for name, value in _parameters(settings, set()).items()}


def canonical(fields: Mapping[str, object]) -> dict[str, str]:
    """Fields as they are kept and compared: JSON with its keys sorted."""
    return {name: orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode() for name, value in fields.items()}


def _parameters(settings: ModelSettings, unused: set[str]) -> dict[str, object]:
    return settings.model_dump(mode="json", exclude={"endpoint", "max_tokens_field", *unused})


def identity_digest(fields: Mapping[str, str]) -> str:
    """A short name for an identity: 8 hexadecimal digits."""
    return blake2b(orjson.dumps(dict(sorted(fields.items()))), digest_size=4).hexdigest()


def compare(then: Mapping[str, str], now: Mapping[str, str], *, kind: str = "") -> list[tuple[str, str, str]]:
    """(field, then, now) for each difference; a field that is absent on one side shows as `-`."""
    differences = []
    for name in sorted(then.keys() | now.keys()):
        if then.get(name) != now.get(name):
            differences.append((f"{kind}{name}", then.get(name, "-"), now.get(name, "-")))
    return differences


def refuse(run: str, differences: list[tuple[str, str, str]]) -> IdentityChanged:
    """The error for a run that was made with other content, with one line for each difference."""
    lines = [
        f"  {field}: then {_short(then, now)}, now {_short(now, then)}"
        for field, then, now in differences[:_LISTED]
    ]
    if len(differences) > _LISTED:
        lines.append(f"  ... and {len(differences) - _LISTED} more")
    return IdentityChanged(
        f"run {run} was made with other content; going on would mix two datasets:\n"
        + "\n".join(lines)
        + "\nNothing was sent. Restore the old values to go on, or start a new run with --run NAME; "
        f"`--run {run} --fork NEW` starts one that reuses the replies which still match.",
        differences,
    )


def _short(text: str, other: str) -> str:
    """`text` around the first place where it differs from `other`."""
    if len(text) <= _SHOWN:
        return text
    same = next(
        (i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), min(len(text), len(other))
    )
    start = max(0, same - 15)
    return f"{'...' if start else ''}{text[start : start + _SHOWN]!r}..."
