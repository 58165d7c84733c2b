"""A scenario is the situation and the goal: one combination of a task's variables, rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario of a task in one language.

    `number` is the position in the product of the task's option lists, last key fastest, which is
    how the reference data numbers its scenarios. `requirements` are the standing requirements that
    the conversation has to cover, in plan order, as short phrases.
    """

    task: str
    task_name: str
    number: int
    language: str
    variables: Mapping[str, str]
    text: str
    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prompts:
    """Every fixed text of one conversation, rendered for its scenario and profile.

    `simulator_setup` holds the set-up's parts in order (role, scenario, profile, rules): one system
    message in the modern style, one user message each in the paper's. `end_prompt` follows each
    assistant reply in the simulator's view; `end_phrase` is what ends the conversation.
    """

    simulator_setup: tuple[str, ...]
    assistant_setup: str | None
    acknowledgement: str
    simulator_kickoff: str
    assistant_kickoff: str
    end_prompt: str
    end_phrase: str
