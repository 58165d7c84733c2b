"""The catalog is what a templates folder holds for one language: tasks, their scenarios, the prompts.

A task is a folder, `<slug>/` with `task.yaml` and `description.<language>.jinja`; adding one needs nothing
else. Prompts are shared, `_prompts/<language>/<name>.jinja`, and a task may override any of them with a
`prompts/<language>/<name>.jinja` of its own. Everything is read and checked once, when it is loaded.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import orjson

from engine.errors import BadInput
from engine.scenarios.behaviour import FILE, Behaviour, decode_behaviour, read_behaviour
from engine.scenarios.item_file import (
    Targets,
    decode_items,
    decode_targets,
    encode_items,
    encode_targets,
    read_items,
    read_targets,
)
from engine.scenarios.item_set import ItemSet
from engine.scenarios.places import find_folder
from engine.scenarios.task_file import (
    LANGUAGES,
    ItemSettings,
    Option,
    TaskFile,
    parse_canonical,
    read_task_file,
)
from engine.scenarios.text_template import TextTemplate, compile_template, load_template
from engine.schema.item import Item
from engine.schema.job import TASK_PATTERN
from engine.schema.profile import Profile
from engine.schema.scenario import Scenario

_SIMULATOR_NAMES = frozenset({"profile", "scenario", "requirements", "task", "end_phrase"})
# Every prompt and the names it may use. The assistant's texts know neither profile nor scenario: what
# the assistant learns of the user, it learns in the conversation.
PROMPT_NAMES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "role": _SIMULATOR_NAMES,
        "scenario": _SIMULATOR_NAMES,
        "profile": _SIMULATOR_NAMES,
        "rules": _SIMULATOR_NAMES,
        "acknowledgement": frozenset(),
        "simulator_kickoff": frozenset({"task"}),
        "end_prompt": _SIMULATOR_NAMES,
        "end_phrase": frozenset(),
        "assistant": frozenset({"task"}),
        "assistant_kickoff": frozenset({"task"}),
        "items": frozenset({"task", "items"}),
        "targets": frozenset({"task", "targets", "is_named"}),
        "behaviour": frozenset({"task", "behaviour"}),
    }
)
# Prompts that only some tasks or jobs have; of the others' runs they are no part.
OPTIONAL_PROMPTS = frozenset({"items", "targets", "behaviour"})
_BEHAVIOUR = "behaviour/axes"


@dataclass(frozen=True, slots=True)
class Task:
    """One task folder, loaded. `prompts` are the task's own where it has them, else the shared ones.

    `overrides` are its own, and those optional ones that it uses.
    """

    slug: str
    file: TaskFile
    description: TextTemplate
    overrides: Mapping[str, TextTemplate]
    prompts: Mapping[str, TextTemplate]
    items: ItemSet | None = None

    @property
    def name(self) -> str:
        """The name in datasets, the same in every language."""
        return self.file.name

    @property
    def title(self) -> str:
        """The name for readers, in the catalog's language."""
        return self.file.title

    @property
    def merge_aspect(self) -> str | None:
        """The key of the profile's aspect that preference summaries are merged with."""
        return self.file.merge_aspect

    @property
    def numbers(self) -> tuple[int, ...]:
        """The scenario numbers that runs use, ascending."""
        return tuple(sorted(self.file.scenarios))

    @property
    def requirements(self) -> tuple[str, ...]:
        """The standing requirements, as short phrases in the catalog's language."""
        return tuple(requirement.text for requirement in self.file.requirements)


@dataclass(frozen=True, slots=True)
class ShownProfile:
    """A profile as one task's prompts show it: its text, and the prompts that say nothing else."""

    profile: Profile
    text: str
    prompts: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Catalog:
    """The loaded tasks by slug, in alphabetical order. Build it with `Catalog.load`.

    `memo` keeps texts that depend on the scenario alone: bounded by the number of scenarios, not of jobs.
    `shown` keeps, for each task, those that depend on the last profile alone.
    """

    folder: Path
    language: str
    tasks: Mapping[str, Task]
    shared_prompts: Mapping[str, TextTemplate]
    behaviour: Behaviour | None = None
    memo: dict[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    shown: dict[str, ShownProfile] = field(default_factory=dict)
    _scenarios: dict[tuple[str, int], Scenario] = field(default_factory=dict)

    @classmethod
    def load(
        cls, folder: Path, language: str, tasks: Sequence[str] | None = None, *, with_behaviour: bool = False
    ) -> Catalog:
        """Read the templates folder for one language: `tasks` (slugs) alone, or all.

        `with_behaviour`: also the axes of behaviour, its own or those that come with the engine.
        Raises `BadInput` naming file, line where known, and what to do. Tasks not asked for are not read.
        """
        if language not in LANGUAGES:
            raise BadInput(f"the language {language!r} is not known; use one of {', '.join(LANGUAGES)}.")
        known = _task_folders(folder)
        for slug in tasks or ():
            if slug not in known:
                raise BadInput(f"there is no task {slug!r} in {folder}; {_suggest(slug, list(known))}")
        shared = _load_prompts(
            folder / "_prompts" / language, language, PROMPT_NAMES.keys() - OPTIONAL_PROMPTS, OPTIONAL_PROMPTS
        )
        behaviour = None
        if with_behaviour:
            behaviour = read_behaviour(_own_or_shipped(folder, FILE), language)
            prompt = _own_or_shipped(folder, Path("_prompts", language, "behaviour.jinja"))
            shared["behaviour"] = load_template(prompt, language, PROMPT_NAMES["behaviour"])
        slugs = sorted(known if tasks is None else set(tasks))
        catalog = cls(
            folder,
            language,
            MappingProxyType({s: _load_task(known[s], language, shared) for s in slugs}),
            shared,
            behaviour,
        )
        catalog.scenarios()  # so that a description which cannot be rendered is found now, not in a run
        return catalog

    @classmethod
    def from_sources(cls, sources: Mapping[str, str], language: str) -> Catalog:
        """The catalog that gave these `sources`, from the texts alone: a run outlives its templates folder.

        Raises `BadInput` where the texts are not those of a catalog.
        """
        folder = Path("(stored in the run)")
        prompts: dict[str, dict[str, TextTemplate]] = {"": {}}
        files: dict[str, TaskFile] = {}
        descriptions: dict[str, TextTemplate] = {}
        items: dict[str, tuple[Item, ...]] = {}
        targets: dict[str, Targets] = {}
        behaviour = None
        try:
            for name, text in sources.items():
                kind, *owner, leaf = name.split("/")
                slug = "".join(owner)
                if kind == "prompt":
                    template = compile_template(folder / name, text, language, PROMPT_NAMES[leaf])
                    prompts.setdefault(slug, {})[leaf] = template
                elif name == _BEHAVIOUR:
                    behaviour = decode_behaviour(text, str(folder))
                elif leaf == "task":
                    files[slug] = parse_canonical(text, language)
                elif leaf == "items":
                    items[slug] = decode_items(text)
                elif leaf == "targets":
                    targets[slug] = decode_targets(text)
            for slug, file in files.items():
                name = f"task/{slug}/description"
                known = {*file.variables, "requirements"}
                descriptions[slug] = compile_template(folder / name, sources[name], language, known)
        except (KeyError, ValueError) as error:
            raise BadInput(f"the run's stored templates cannot be read: {error}") from error
        shared = prompts[""]
        tasks = {
            slug: Task(
                slug,
                file,
                descriptions[slug],
                own,
                MappingProxyType({**shared, **own}),
                None
                if file.items is None
                else ItemSet.of(file.items, items.get(slug, ()), targets.get(slug, {}), f"{folder}/{slug}"),
            )
            for slug, file in sorted(files.items())
            for own in (prompts.get(slug, {}),)
        }
        wanted = PROMPT_NAMES.keys() - OPTIONAL_PROMPTS
        if lost := sorted({name for task in tasks.values() for name in wanted - task.prompts.keys()}):
            raise BadInput(f"the run's stored templates cannot be read: there is no {', '.join(lost)}")
        return cls(folder, language, MappingProxyType(tasks), shared, behaviour)

    def levels_of(self, behaviour: str) -> dict[str, str]:
        """Axis to level of a job's behaviour. Raises BadInput for what is none of this folder."""
        if self.behaviour is None:
            raise BadInput(
                f"{self.folder}: loaded without the axes of behaviour, but a job names {behaviour!r}."
            )
        return self.behaviour.levels_of(behaviour)

    def scenarios(self) -> Sequence[Scenario]:
        """The scenarios that runs use, by slug and number."""
        return [self.scenario(slug, n) for slug, task in self.tasks.items() for n in task.numbers]

    def scenario(self, slug: str, number: int) -> Scenario:
        """One scenario; `number` may be any position in the product of the options, used by runs or not.

        Raises `BadInput` for a task that is not loaded or a number outside the product.
        """
        if (found := self._scenarios.get((slug, number))) is not None:
            return found
        if (task := self.tasks.get(slug)) is None:
            raise BadInput(
                f"there is no task {slug!r} among the loaded ones; {_suggest(slug, list(self.tasks))}"
            )
        try:
            combination = task.file.combination(number)
        except IndexError:
            last = task.file.n_combinations - 1
            raise BadInput(
                f"task {slug!r} has no scenario {number}; use a number from 0 to {last}."
            ) from None
        choices = {key: _Choice.of(option) for key, option in combination.items()}
        return self._scenarios.setdefault(
            (slug, number),
            Scenario(
                task=slug,
                task_name=task.name,
                number=number,
                language=self.language,
                variables=MappingProxyType({key: option.id for key, option in combination.items()}),
                text=task.description.render(**choices, requirements=task.requirements),
                requirements=task.requirements,
            ),
        )

    def sources(self) -> Mapping[str, str]:
        """Every source text that decides content, by a stable name, in alphabetical order.

        `task.yaml` is given as canonical JSON: comments, layout and other languages do not count.
        """
        texts = {f"prompt/{name}": prompt.source for name, prompt in self.shared_prompts.items()}
        for slug, task in self.tasks.items():
            canonical = orjson.dumps(task.file.model_dump(mode="json", exclude_defaults=True))
            # Options keep their order, and so do variables: both decide the scenario numbers.
            texts[f"task/{slug}/task"] = canonical.decode()
            texts[f"task/{slug}/description"] = task.description.source
            if task.items is not None:
                texts[f"task/{slug}/items"] = encode_items(task.items.items)
                if task.items.targets:
                    texts[f"task/{slug}/targets"] = encode_targets(task.items.targets)
            texts |= {f"prompt/{slug}/{name}": prompt.source for name, prompt in task.overrides.items()}
        if self.behaviour is not None:
            texts[_BEHAVIOUR] = self.behaviour.encode()
        return MappingProxyType(dict(sorted(texts.items())))

    def __repr__(self) -> str:
        n_scenarios = sum(len(task.numbers) for task in self.tasks.values())
        return f"<Catalog {self.language}: {len(self.tasks)} tasks, {n_scenarios} scenarios, {self.folder}>"


class _Choice(SimpleNamespace):
    """A chosen option in a description: `{{ season }}` is its wording; `.id` and its forms are at hand."""

    @classmethod
    def of(cls, option: Option) -> _Choice:
        return cls(**{**option.forms, "id": option.id, "text": option.text})

    def __str__(self) -> str:
        return str(self.text)


def _task_folders(folder: Path) -> dict[str, Path]:
    """The task folders by slug; names that begin with `_` or `.` are not tasks."""
    if not folder.is_dir():
        raise BadInput(f"the templates folder {folder} does not exist.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or path.name.startswith(("_", ".")):
            continue
        if not TASK_PATTERN.fullmatch(path.name):
            raise BadInput(
                f"{path}: a task's folder name is lower-case letters, digits and '_', beginning with a "
                f"letter, 32 at most; rename it, or begin it with '_' if it is no task."
            )
        if not (path / "task.yaml").is_file():
            raise BadInput(f"{path} has no task.yaml; add one, or begin the folder's name with '_'.")
        found[path.name] = path
    return found


def _own_or_shipped(folder: Path, name: Path) -> Path:
    """The file of this templates folder, or else the one that comes with the engine."""
    own = folder / name
    return own if own.is_file() else find_folder(f"templates/{name.parent}") / name.name


def _load_task(folder: Path, language: str, shared: Mapping[str, TextTemplate]) -> Task:
    file = read_task_file(folder / "task.yaml", language)
    needed = {*file.variables, *(["requirements"] if file.requirements else [])}
    description = load_template(
        folder / f"description.{language}.jinja", language, {*file.variables, "requirements"}
    )
    if unused := sorted(needed - description.names):
        raise BadInput(
            f"{description.path}: does not use {', '.join(unused)}; a description has to say it all."
        )
    own = folder / "prompts" / language
    overrides = _load_prompts(own, language, ()) if own.is_dir() else {}
    items = None if file.items is None else _load_items(folder, file.items)
    if file.items is not None:
        used = {"items"} | ({"targets"} if file.items.targets and file.items.simulator != "hidden" else set())
        for name in sorted(used - overrides.keys()):
            path = folder.parent / "_prompts" / language / f"{name}.jinja"
            overrides[name] = load_template(path, language, PROMPT_NAMES[name])
    return Task(folder.name, file, description, overrides, MappingProxyType({**shared, **overrides}), items)


def _load_items(folder: Path, settings: ItemSettings) -> ItemSet:
    targets = {} if settings.targets is None else read_targets(folder / settings.targets)
    return ItemSet.of(settings, read_items(folder / settings.file), targets, str(folder))


def _load_prompts(
    folder: Path, language: str, required: Collection[str], left_out: Collection[str] = ()
) -> dict[str, TextTemplate]:
    """The prompt files of one folder; a file of another name would go unnoticed, so it is refused."""
    names = {path.stem for path in folder.glob("*.jinja")}
    if unknown := sorted(names.difference(PROMPT_NAMES)):
        raise BadInput(
            f"{folder / unknown[0]}.jinja is no prompt; {_suggest(unknown[0], list(PROMPT_NAMES))}"
        )
    prompts = {
        name: load_template(folder / f"{name}.jinja", language, PROMPT_NAMES[name])
        for name in sorted(names.union(required).difference(left_out))
    }
    if (phrase := prompts.get("end_phrase")) is not None and not phrase.source.strip():
        raise BadInput(f"{phrase.path} is empty; write the phrase that ends a conversation.")
    return prompts


def _suggest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known ones: {', '.join(known) or 'none'}."
