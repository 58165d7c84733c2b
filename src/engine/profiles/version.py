"""A version is a list of aspects and the examples that are shown: data, in a folder of its own.

    templates/_profiles/<version>/aspects.yaml            key and printed labels of each aspect, in order
    templates/_profiles/<version>/examples.<language>.jsonl   the examples, if any: one object a line

`refine` writes such folders too, so what a person has accepted becomes the next version's examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.config.document import read_document
from engine.errors import BadInput, ConfigError
from engine.scenarios.places import find_folder
from engine.scenarios.text_template import read_text

FOLDER = "_profiles"
LATEST = "nine-aspects"
# In the order of the figure: no example, one from the first generation, one revised by people.
SHIPPED = ("six-aspects", "first-example", LATEST)


class _AspectLine(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    key: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    en: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^:：\n]+$")]
    zh: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^:：\n]+$")]
    asks_en: str = ""
    asks_zh: str = ""


class _AspectFile(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    title: str
    aspects: Annotated[list[_AspectLine], Field(min_length=2, max_length=30)]


@dataclass(frozen=True, slots=True)
class AspectAsked:
    """One aspect as it is asked for: `asks` says what belongs there."""

    key: str
    label_en: str
    label_zh: str
    label: str
    asks: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """What is asked for in one language: the aspects in order, and examples (aspect key to text)."""

    name: str
    title: str
    language: str
    aspects: tuple[AspectAsked, ...]
    examples: tuple[Mapping[str, str], ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The aspects' keys, in order."""
        return tuple(aspect.key for aspect in self.aspects)

    def render(self, values: Mapping[str, str]) -> str:
        """The numbered lines of one profile."""
        return "\n".join(f"{i}. {a.label}: {values[a.key]}" for i, a in enumerate(self.aspects, 1))


def load_version(name: str, language: str, templates: Path | None, config_dir: Path | None) -> Version:
    """A shipped version by name, or one in a folder by path. Raises BadInput with file and place."""
    return read_version(version_folder(name, templates, config_dir), language)


def version_folder(name: str, templates: Path | None, config_dir: Path | None) -> Path:
    """Where the version lies. Raises BadInput where there is none of that name or path."""
    path = Path(name)
    if (path / "aspects.yaml").is_file():
        return path
    own = None if templates is None else templates / FOLDER / name
    if own is not None and (own / "aspects.yaml").is_file():
        return own
    if name in SHIPPED:
        return find_folder(f"templates/{FOLDER}/{name}", config_dir)
    raise BadInput(
        f"there is no version {name!r} of the aspects: no folder with aspects.yaml in it. Shipped are "
        f"{', '.join(SHIPPED)}; or give the path of a folder of your own."
    )


def read_version(folder: Path, language: str) -> Version:
    """The version in `folder`."""
    path = folder / "aspects.yaml"
    try:
        found = _AspectFile.model_validate(read_document(read_text(path), source=str(path)).data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{path}: {place}: {first['msg']}. See docs/profiles.md.") from error
    except ConfigError as error:
        raise BadInput(str(error)) from error
    is_chinese = language == "zh"
    aspects = tuple(
        AspectAsked(
            line.key, line.en, line.zh, line.zh if is_chinese else line.en,
            line.asks_zh if is_chinese else line.asks_en,
        )
        for line in found.aspects
    )  # fmt: skip
    names = [name for line in found.aspects for name in {line.key, line.en.casefold(), line.zh}]
    if len(set(names)) != len(names):
        raise BadInput(f"{path}: two aspects share a key or a label. Give each its own.")
    examples = _read_examples(folder / f"examples.{language}.jsonl", tuple(a.key for a in aspects))
    return Version(folder.name, found.title, language, aspects, examples)


def _read_examples(path: Path, keys: tuple[str, ...]) -> tuple[Mapping[str, str], ...]:
    if not path.exists():
        return ()
    examples = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise BadInput(f"{path}:{number}: not JSON: {error}.") from error
        if not isinstance(record, dict) or not all(
            isinstance(record.get(key), str) and record[key].strip() for key in keys
        ):
            raise BadInput(f"{path}:{number}: an example is an object with the texts {', '.join(keys)}.")
        examples.append({key: record[key] for key in keys})
    return tuple(examples)
