"""A conversation's fixed texts come from the catalog, the scenario and the profile, and from nothing else.

This runs once per conversation, so what depends on the scenario alone is rendered once and kept, and what
depends on the profile alone once for its conversations, which follow each other; only prompts that show both
are rendered each time.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.scenarios.catalog import Catalog, ShownProfile, Task
from engine.scenarios.item_set import ItemSet
from engine.schema.profile import Profile
from engine.schema.scenario import Prompts, Scenario

# What differs between the conversations of one scenario.
_PER_JOB = frozenset({"profile", "items", "targets", "behaviour"})
_SETUP_PARTS = ("role", "scenario", "profile", "rules")


def render_prompts(
    catalog: Catalog,
    scenario: Scenario,
    profile: Profile,
    *,
    assistant_prompt: bool,
    assistant_text: str | None = None,
    behaviour: str = "",
) -> Prompts:
    """Every fixed text of the conversation of `scenario` (one of the catalog's) and `profile`.

    `assistant_text` is said to the assistant in place of the usual prompt. `assistant_setup` is None where
    there is neither, unless the task has items, which are always shown. The same arguments give the same
    texts. Raises `BadInput` naming the template file where one cannot be rendered.
    """
    task = catalog.tasks[scenario.task]
    key = (scenario.task, scenario.text)
    fixed = catalog.memo.get(key)
    if fixed is None:
        fixed = catalog.memo[key] = _render_fixed(task, scenario)
    shown = catalog.shown.get(scenario.task)
    if shown is None or shown.profile is not profile:
        shown = catalog.shown[scenario.task] = _render_shown(task, profile, catalog.language)
    values: dict[str, object] = {**_values(task, scenario, fixed["end_phrase"]), "profile": shown.text}

    def text(name: str) -> str:
        if name in fixed:
            return fixed[name]
        return shown.prompts[name] if name in shown.prompts else task.prompts[name].render(**values)

    simulator = [text(name) for name in _SETUP_PARTS]
    if assistant_text is not None:
        assistant = [assistant_text]
    else:
        assistant = [text("assistant")] if assistant_prompt else []
    if task.items is not None:
        values |= _item_values(task, task.items, scenario.number, profile.profile_id)
        assistant.append(text("items"))
        if values["targets"]:
            simulator.append(text("targets"))
    if behaviour and catalog.behaviour is not None:
        values["behaviour"] = catalog.behaviour.texts_of(behaviour)
        simulator.append(text("behaviour"))
    return Prompts(
        simulator_setup=tuple(simulator),
        assistant_setup="\n\n".join(assistant) or None,
        acknowledgement=text("acknowledgement"),
        simulator_kickoff=text("simulator_kickoff"),
        assistant_kickoff=text("assistant_kickoff"),
        end_prompt=text("end_prompt"),
        end_phrase=text("end_phrase"),
    )


def _render_fixed(task: Task, scenario: Scenario) -> Mapping[str, str]:
    """All prompts that do not show the profile or items."""
    end_phrase = task.prompts["end_phrase"].render()
    values = _values(task, scenario, end_phrase)
    return {
        name: prompt.render(**values) for name, prompt in task.prompts.items() if not prompt.names & _PER_JOB
    }


def _render_shown(task: Task, profile: Profile, language: str) -> ShownProfile:
    """The profile's text, and all prompts that show it and nothing else."""
    text = profile.render(language)
    prompts = {
        name: prompt.render(profile=text) for name, prompt in task.prompts.items()
        if prompt.names == {"profile"}
    }  # fmt: skip
    return ShownProfile(profile, text, prompts)


def _item_values(task: Task, items: ItemSet, number: int, profile_id: str) -> dict[str, object]:
    """What the assistant is shown of the task's items, and the simulator of its targets."""
    return {
        "items": items.shown_to(task.slug, profile_id, number),
        "targets": items.told_targets(profile_id, number),
        "is_named": items.settings.simulator == "shown",
    }


def _values(task: Task, scenario: Scenario, end_phrase: str) -> dict[str, object]:
    return {
        "task": task.title,
        "scenario": scenario.text,
        "requirements": scenario.requirements,
        "end_phrase": end_phrase,
    }
