"""An annotator's wording: files that anybody may edit, `templates/_annotation/<name>/*.jinja`.

`system.jinja` says what is asked and what the reply has to look like; `material.jinja` shows what it is asked
about. `again.jinja`, shared, follows when a reply could not be used: it never contains that reply, since an
attempt is asked like any other question. The digest of all texts is the prompt's version, kept with each
annotation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import orjson

from engine.scenarios.places import find_folder
from engine.scenarios.text_template import TextTemplate, load_template

_FOLDER = "_annotation"
SYSTEM_NAMES = frozenset({"labels", "is_multi", "metrics", "language", "fewest", "most", "vocabulary"})
MATERIAL_NAMES = frozenset(
    {"turns", "text", "left_out", "profile", "scenario", "phrases", "requirements", "task", "language"}
)
# What is not given is empty: neither shown nor gone through.
_NOTHING: dict[str, object] = dict.fromkeys(SYSTEM_NAMES | MATERIAL_NAMES, "")


@dataclass(frozen=True, slots=True)
class Prompts:
    """The three templates of one annotator."""

    system: TextTemplate
    material: TextTemplate
    again: TextTemplate

    @property
    def texts(self) -> Mapping[str, str]:
        """The sources by name; they are identity of the stage."""
        return {
            "system": self.system.source,
            "material": self.material.source,
            "again": self.again.source,
        }

    @property
    def version(self) -> str:
        """Digits of the digest of all texts."""
        return version_of(self.texts)

    def messages(
        self, system: Mapping[str, object], material: Mapping[str, object], attempt: int
    ) -> tuple[tuple[str, str], ...]:
        """What is sent."""
        asked = self.material.render(**{**_NOTHING, **material})
        if attempt:
            asked += "\n\n" + self.again.render()
        return ("system", self.system.render(**{**_NOTHING, **system})), ("user", asked)


def version_of(texts: Mapping[str, str]) -> str:
    """Digits of the digest of texts by name."""
    return blake2b(orjson.dumps(sorted(texts.items())), digest_size=4).hexdigest()


def load_prompts(name: str, templates: Path | None, config_dir: Path | None) -> Prompts:
    """The templates of annotator `name`: of the configured folder where it has them, else the shipped ones.

    Raises BadInput for a file that is missing, broken, or uses a name that it is not given.
    """
    folder = find_prompts(name, templates, config_dir)
    shared = find_prompts("shared", templates, config_dir)
    return Prompts(
        load_template(folder / "system.jinja", "en", SYSTEM_NAMES),
        load_template(folder / "material.jinja", "en", MATERIAL_NAMES),
        load_template(shared / "again.jinja", "en", ()),
    )


def find_prompts(name: str, templates: Path | None, config_dir: Path | None) -> Path:
    """The folder of an annotator's files."""
    own = None if templates is None else templates / _FOLDER / name
    if own is not None and own.is_dir():
        return own
    return find_folder(f"templates/{_FOLDER}/{name}", config_dir)
