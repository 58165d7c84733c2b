"""The wording of requests for profiles: files that anybody may edit, templates/_profiles/prompts/<language>/.

`request` opens a session, `more` goes on in it, `reminder` begins anew with the requirements in short when
the context is full, `from_texts` asks for the person behind reviews or purchases. `shape_numbered` and
`shape_json` say what a reply has to look like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import orjson

from engine.profiles.version import FOLDER, Version
from engine.scenarios.places import find_folder
from engine.scenarios.text_template import TextTemplate, load_template

_NAMES: Mapping[str, frozenset[str]] = {
    "request": frozenset({"count", "first", "aspects", "people", "persons", "examples", "shape"}),
    "more": frozenset({"count", "first", "is_numbered", "persons"}),
    "reminder": frozenset({"count", "first", "is_numbered", "aspects", "people", "persons", "said", "shape"}),
    "from_texts": frozenset({"aspects", "texts", "left_out", "examples", "shape"}),
    "shape_numbered": frozenset(),
    "shape_json": frozenset({"aspects"}),
}


@dataclass(frozen=True, slots=True)
class Prompts:
    """The templates of one language, for one version and one shape of replies."""

    templates: Mapping[str, TextTemplate]
    version: Version
    is_json: bool

    @property
    def identity(self) -> dict[str, object]:
        """What of the wording decides replies."""
        version = self.version
        texts = {f"template profiles/{name}": each.source for name, each in self.templates.items()}
        return {
            **texts,
            "aspects": [[a.key, a.label, a.asks] for a in version.aspects],
            "examples": [dict(example) for example in version.examples],
            "shape": "json" if self.is_json else "numbered",
        }

    @property
    def digest(self) -> str:
        """Eight digits that name this wording in a profile's provenance."""
        return blake2b(orjson.dumps(self.identity, option=orjson.OPT_SORT_KEYS), digest_size=4).hexdigest()

    def request(self, people: Sequence[str], persons: Sequence[str]) -> str:
        """The first question of a session, for one profile of each of `persons`."""
        return self._render(
            "request", count=len(persons), first=1, aspects=self.version.aspects, people=people,
            persons=persons, examples=self._examples(), shape=self._shape(),
        )  # fmt: skip

    def more(self, first: int, persons: Sequence[str]) -> str:
        """The next question of a session, numbered from `first` on."""
        return self._render(
            "more", count=len(persons), first=first, is_numbered=not self.is_json, persons=persons
        )

    def reminder(self, first: int, people: Sequence[str], persons: Sequence[str], said: Sequence[str]) -> str:
        """The first question of a session whose context is full; `said` names who is there already."""
        return self._render(
            "reminder", count=len(persons), first=first, is_numbered=not self.is_json,
            aspects=self.version.aspects, people=people, persons=persons, said=said, shape=self._shape(),
        )  # fmt: skip

    def from_texts(self, texts: Sequence[str], left_out: int) -> str:
        """The question for the person who wrote or bought these."""
        return self._render(
            "from_texts", aspects=self.version.aspects, texts=texts, left_out=left_out,
            examples=self._examples(), shape=self._shape(),
        )  # fmt: skip

    def _examples(self) -> list[str]:
        examples = self.version.examples
        if self.is_json:
            return [orjson.dumps(dict(example)).decode() for example in examples]
        return [self.version.render(example) for example in examples]

    def _shape(self) -> str:
        if self.is_json:
            return self._render("shape_json", aspects=self.version.aspects)
        return self._render("shape_numbered")

    def _render(self, name: str, **values: object) -> str:
        return self.templates[name].render(**values)


def load_prompts(
    version: Version, *, is_json: bool, templates: Path | None, config_dir: Path | None
) -> Prompts:
    """The templates of the version's language: of the configured folder where it has them, else the shipped.

    Raises BadInput for a file that is missing, broken, or uses a name that it is not given.
    """
    relative = f"{FOLDER}/prompts/{version.language}"
    own = None if templates is None else templates / relative
    folder = own if own is not None and own.is_dir() else find_folder(f"templates/{relative}", config_dir)
    loaded = {
        name: load_template(folder / f"{name}.jinja", version.language, known)
        for name, known in _NAMES.items()
    }
    return Prompts(loaded, version, is_json)
