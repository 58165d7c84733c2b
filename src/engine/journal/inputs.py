"""What a run is made from, kept in its journal once, by content: templates, profiles, settings, plan.

With these a run outlives its template and profile files: it is exported, verified and shown from the
journal alone. At a resume they are what the present files are compared with, before any call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import orjson

from engine.config.identity import compare, compare_runs, identity_fields
from engine.config.matrix import Cell, cells_of
from engine.config.settings import RunConfig
from engine.dialogue.dialogue import DialogueRules
from engine.errors import BadInput, JournalDamaged, UsageError
from engine.journal.imports import read_import_facts
from engine.journal.journal import Journal
from engine.journal.reader import Reader
from engine.scenarios.catalog import Catalog
from engine.scenarios.render import render_prompts
from engine.schema.conversation import STAGE
from engine.schema.job import Job
from engine.schema.plan import Plan
from engine.schema.profile import Profile
from engine.schema.scenario import Prompts, Scenario

_SOURCE, _PROFILE, _ASSISTANT = "source", "profile", "assistant"


@dataclass(frozen=True, slots=True, eq=False)
class RunInputs:
    """Everything that a conversation of the run is a function of, beside the models' replies.

    `assistant_texts` holds what assistants of a matrix are told in place of the usual text, by name.
    """

    config: RunConfig
    catalog: Catalog
    profiles: Mapping[str, Profile]
    plan: Plan
    assistant_texts: Mapping[str, str] = field(default_factory=dict)
    _cells: dict[str, Cell] = field(init=False, default_factory=dict)

    def cell(self, job: Job) -> Cell:
        """Who holds the conversation of `job`. Raises ConfigError where a side has no model."""
        if not self._cells:
            self._cells.update(cells_of(self.config))
        return self._cells[job.cell]

    def scenario(self, job: Job) -> Scenario:
        """The scenario of `job`."""
        return self.catalog.scenario(job.task, job.scenario_number)

    def profile(self, job: Job) -> Profile:
        """The profile of `job`; raises BadInput where the pool does not have it."""
        try:
            return self.profiles[job.profile_id]
        except KeyError:
            raise BadInput(
                f"job {job.job_id}: the pool has no profile {job.profile_id!r}; choose another pool with "
                "--profiles FILE, or correct the job."
            ) from None

    def prompts(self, job: Job) -> Prompts:
        """Every fixed text of the conversation of `job`."""
        own = self.cell(job).assistant.prompt if job.cell else None
        if own is not None and own not in self.assistant_texts:
            raise BadInput(f"job {job.job_id}: the journal has no text of the prompt {own!r} any more.")
        return render_prompts(
            self.catalog,
            self.scenario(job),
            self.profile(job),
            assistant_prompt=self.config.conversation.assistant_prompt,
            assistant_text=None if own is None else self.assistant_texts[own],
            behaviour=job.behaviour,
        )

    def rules(self, job: Job) -> DialogueRules:
        """How the conversation of `job` is held."""
        settings = self.config.conversation
        return DialogueRules(
            setup=settings.setup,
            opener=job.opener or settings.opener,
            max_rounds=settings.max_rounds,
            strict_end=settings.end_check == "strict",
            debrief=tuple((question.side, question.question) for question in settings.debrief),
            gates=self.config.gates.use,
            regenerate=self.config.gates.regenerate,
            language=self.config.language,
        )


async def put_inputs(journal: Journal, inputs: RunInputs) -> None:
    """Store what is not stored yet. Called after `differences_from` found nothing, before any call."""
    for kind in (_SOURCE, _PROFILE, _ASSISTANT):
        texts = {name: body for its_kind, name, body in input_contents(inputs) if its_kind == kind}
        await journal.put_contents(kind, texts)
    await journal.put_identity(STAGE, identity_fields(inputs.config))
    await journal.put_meta("config", inputs.config.model_dump_json())
    stored = stored_plan(journal.reader)
    if stored is None or not stored.includes(inputs.plan):
        await journal.put_meta("plan", encode_plan(inputs.plan))


def input_contents(inputs: RunInputs) -> Iterator[tuple[str, str, bytes]]:
    """(kind, name, text) of all templates and of the profiles that the plan needs; assistants' own texts."""
    for name, text in inputs.catalog.sources().items():
        yield _SOURCE, name, text.encode()
    for profile_id in inputs.plan.profile_ids_used():
        yield _PROFILE, profile_id, encode_profile(inputs.profiles[profile_id])
    for name, text in inputs.assistant_texts.items():
        yield _ASSISTANT, name, text.encode()


def stored_plan(reader: Reader) -> Plan | None:
    """The plan of a run, or None before its first start."""
    text = reader.meta("plan")
    return None if text is None else decode_plan(text)


def check_plan(reader: Reader, plan: Plan) -> None:
    """Raise UsageError where `plan` neither extends the run's plan nor is a part of it.

    What was planned stays planned: a later command must not make paid conversations disappear.
    """
    stored = stored_plan(reader)
    if stored is not None and not stored.includes(plan) and not plan.includes(stored):
        then, now = ({task for task, _ in each.scenarios_used()} for each in (stored, plan))
        tasks = "".join(
            f" Tasks {where}: {', '.join(sorted(slugs))}."
            for where, slugs in (("that only the run has", then - now), ("that are new", now - then))
            if slugs
        )
        raise UsageError(
            f"run {reader.path.parent.name} was planned with {len(stored)} other conversations: the "
            f"{len(plan)} of this command neither include them all nor are a part of them.{tasks} "
            "Name a plan that includes them (more tasks, profiles, repeats or a larger limit), or start "
            "another run with --run NAME. Nothing was sent."
        )


def differences_from(reader: Reader, inputs: RunInputs) -> list[tuple[str, str, str]]:
    """(field, then, now) for everything that decides content and is not as the run was made with.

    Tasks and profiles that only one side has are no difference: a plan may be extended, or done in part.
    """
    if reader.meta("plan") is None:  # nothing was asked yet
        return []
    found = compare_runs(reader.identity(STAGE), identity_fields(inputs.config))
    for name, body in reader.contents(_ASSISTANT):
        if (then_told := body.decode()) != (told := inputs.assistant_texts.get(name, "-")):
            found.append((f"assistant's prompt {name}", then_told, told))
    then = {name: body.decode() for name, body in reader.contents(_SOURCE)}
    now = dict(inputs.catalog.sources())
    shared = _task_slugs(then) & _task_slugs(now) | {""}
    found += compare(
        {name: text for name, text in then.items() if _owner(name) in shared},
        {name: text for name, text in now.items() if _owner(name) in shared},
        kind="template ",
    )
    for profile_id, body in reader.contents(_PROFILE):
        profile = inputs.profiles.get(profile_id)
        if profile is not None:
            stored = decode_profile(profile_id, body)
            found += compare(
                {**stored.aspects, "text": stored.text or ""},
                {**profile.aspects, "text": profile.text or ""},
                kind=f"profile {profile_id}, ",
            )
    return found + _opener_differences(reader, inputs)


def _opener_differences(reader: Reader, inputs: RunInputs) -> list[tuple[str, str, str]]:
    """Jobs of an explicit list, then or now, that the other side would open."""
    stored = stored_plan(reader)
    if stored is None or (stored.explicit is None and inputs.plan.explicit is None):
        return []
    default = inputs.config.conversation.opener
    then, now = stored.index(), inputs.plan.index()
    listed = stored.explicit if stored.explicit is not None else inputs.plan.explicit or ()
    found = []
    for job in listed:
        before, after = then.find(job.job_id), now.find(job.job_id)
        if before is not None and after is not None:
            openers = before.opener or default, after.opener or default
            if openers[0] != openers[1]:
                found.append((f"job {job.job_id}, opener", *openers))
    return found


def read_inputs(reader: Reader) -> RunInputs:
    """The inputs of a run from its journal alone. Profiles are read when they are asked for."""
    config, plan = reader.meta("config"), stored_plan(reader)
    if read_import_facts(reader) is not None:
        raise BadInput(
            f"run {reader.path.parent.name} was imported, not held: it has no plan to work on. `engine "
            "stats`, `show`, `verify` and `export` read it; a stopped import goes on with its own command."
        )
    if config is None or plan is None:
        raise BadInput(f"run {reader.path.parent.name} was never started: its journal holds no plan.")
    settings = RunConfig.model_validate_json(config)
    sources = {name: body.decode() for name, body in reader.contents(_SOURCE)}
    return RunInputs(
        settings,
        Catalog.from_sources(sources, settings.language),
        _StoredProfiles(reader),
        plan,
        {name: body.decode() for name, body in reader.contents(_ASSISTANT)},
    )


class _StoredProfiles(Mapping[str, Profile]):
    """Profiles out of a journal, the last few kept: plan order asks for each many times in a row."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._recent: dict[str, Profile] = {}

    def __getitem__(self, profile_id: str) -> Profile:
        if profile_id not in self._recent:
            body = self._reader.content(_PROFILE, profile_id)
            if body is None:
                raise KeyError(profile_id)
            if len(self._recent) >= 256:
                self._recent.clear()
            self._recent[profile_id] = decode_profile(profile_id, body)
        return self._recent[profile_id]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._reader.contents(_PROFILE))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def encode_profile(profile: Profile) -> bytes:
    """A profile as it is kept in a journal."""
    return orjson.dumps(
        {"aspects": dict(profile.aspects), "text": profile.text, "provenance": dict(profile.provenance)}
    )


def decode_profile(profile_id: str, body: bytes) -> Profile:
    """The reverse of `encode_profile`."""
    data = orjson.loads(body)
    return Profile(profile_id, data["aspects"], data["text"], data["provenance"])


def encode_plan(plan: Plan) -> str:
    """A plan as it is kept in a journal."""
    explicit = None
    if plan.explicit is not None:
        explicit = [
            [job.task, job.scenario_number, job.profile_id, job.repeat, job.opener]
            + ([job.behaviour] if job.behaviour else [])
            for job in plan.explicit
        ]
    return orjson.dumps(
        {
            "profile_ids": plan.profile_ids if explicit is None else [],
            "scenarios": plan.scenarios,
            "repeats": plan.repeats,
            "limit": plan.limit,
            "explicit": explicit,
            **({"cells": plan.cells} if plan.cells else {}),
        }
    ).decode()


def decode_plan(text: str) -> Plan:
    """The reverse of `encode_plan`; raises JournalDamaged for anything else."""
    try:
        data = orjson.loads(text)
        explicit = data["explicit"]
        return Plan(
            tuple(data["profile_ids"]),
            tuple((task, number) for task, number in data["scenarios"]),
            data["repeats"],
            data["limit"],
            None if explicit is None else tuple(_decode_job(*fields) for fields in explicit),
            tuple(data.get("cells", ())),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise JournalDamaged(f"the journal's plan cannot be read: {error}") from error


def _decode_job(
    task: str, number: int, profile_id: str, repeat: int, opener: str | None, behaviour: str = ""
) -> Job:
    return Job(task, number, profile_id, repeat, opener, behaviour=behaviour)


def _owner(name: str) -> str:
    """The task that a source belongs to, or nothing for a shared prompt."""
    return "".join(name.split("/")[1:-1])


def _task_slugs(sources: Mapping[str, str]) -> set[str]:
    return {_owner(name) for name in sources if name.startswith("task/")}
