"""The rehearsal as a run sees it: real templates, pools, turn-taking and validation, against the reference.

Everything but HTTP is the real thing, so a change of a template, a pool or a rule that spoils the
rehearsal's figures shows here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import pytest

from engine.dataset.tokens import count_tokens
from engine.dataset.validation import drop_reasons, validate
from engine.dialogue.dialogue import Ask, Dialogue, DialogueRules
from engine.rehearsal.asked import read_asked
from engine.rehearsal.defects import Defect, assistant_flaw, simulator_flaw
from engine.rehearsal.figures import SHAPES
from engine.rehearsal.responder import answer
from engine.rehearsal.simulator import option_names
from engine.rehearsal.tastes import read_profile, statements
from engine.rehearsal.view import view_of
from engine.scenarios.catalog import Catalog
from engine.scenarios.profile_pool import load_profiles
from engine.scenarios.render import render_prompts
from engine.schema.conversation import Role
from engine.schema.profile import ASPECTS, Profile
from engine.schema.scenario import Scenario

ROOT = Path(__file__).parents[3]
DEFECT_RATE = 0.13
PER_TASK = 180
TASKS = ("gifts", "newtravel", "recipe", "skills", "travel")
# Defects that validation notes without dropping: the data are sound, the behaviour is a result.
FLAG_ONLY = frozenset({Defect.COURTESY_LOOP, Defect.REFUSES})
RULE_OF = {Defect.COURTESY_LOOP: "courtesy_loop", Defect.REFUSES: "refuses_task"}


@dataclass(frozen=True)
class Talk:
    """One conversation: its turns, the defects drawn for it, and what validation says."""

    task: str
    profile: str
    users: tuple[str, ...]
    assistants: tuple[str, ...]
    defects: frozenset[Defect]
    rules: frozenset[str]
    drops: tuple[str, ...]


def hold_one(catalog: Catalog, scenario: Scenario, profile: Profile, key: str) -> Talk:
    """One conversation as the runner holds it, both sides answered by the responder."""
    prompts = render_prompts(catalog, scenario, profile, assistant_prompt=True)
    dialogue = Dialogue(prompts, DialogueRules())
    logs: dict[Role, list[dict[str, str]]] = {Role.USER: [], Role.ASSISTANT: []}
    ask: Ask | None = dialogue.begin()
    setup = ""
    while ask is not None:
        log = logs[ask.side]
        log += [{"role": role, "content": content} for role, content in ask.messages]
        side = "simulator" if ask.side is Role.USER else "assistant"
        asked = read_asked({"model": "m", "messages": log, "prompt_cache_key": f"{key}/{side}"})
        setup = setup or view_of(asked.messages).setup  # type: ignore[union-attr]
        said = answer(asked, seed=0, defect_rate=DEFECT_RATE)
        ask = dialogue.answer(said.text, said.finish_reason)
    assert dialogue.end_reason is not None
    findings = validate(
        dialogue.turns,
        end_reason=dialogue.end_reason,
        language=catalog.language,
        end_prompt=prompts.end_prompt,
    )
    users = tuple(turn.content for turn in dialogue.turns if turn.role is Role.USER)
    flaws = (
        simulator_flaw(0, DEFECT_RATE, setup, f"{key}/simulator"),
        assistant_flaw(0, DEFECT_RATE, users[0], f"{key}/assistant"),
    )
    return Talk(
        scenario.task,
        profile.render(catalog.language),
        users,
        tuple(turn.content for turn in dialogue.turns if turn.role is Role.ASSISTANT),
        # The assistant's defect does not show where the conversation ended before its turn.
        frozenset(flaw.kind for flaw in flaws if flaw is not None and flaw.turn <= len(users) + 1),
        frozenset(finding.rule for finding in findings),
        drop_reasons(findings, dialogue.end_reason),
    )


def hold_many(language: str, per_task: int = PER_TASK) -> Iterator[Talk]:
    """`per_task` conversations of each task: profiles in turn, scenarios in turn, repeats with keys."""
    catalog = Catalog.load(ROOT / "templates", language, TASKS)
    profiles = load_profiles(ROOT / "profiles" / f"pool.{language}.jsonl")
    for task in TASKS:
        numbers = catalog.tasks[task].numbers
        for i in range(per_task):
            scenario = catalog.scenario(task, numbers[i % len(numbers)])
            yield hold_one(catalog, scenario, profiles[i * 7 % len(profiles)], f"{task}-{i}")


@pytest.fixture(scope="module", params=["en", "zh"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def talks(language: str) -> list[Talk]:
    return list(hold_many(language))


@pytest.mark.parametrize("task", TASKS)
def test_kept_conversations_have_the_reference_shape(talks: list[Talk], task: str) -> None:
    kept = [talk for talk in talks if talk.task == task and not talk.drops]
    shape = SHAPES[task]
    assert mean(len(talk.users) for talk in kept) == pytest.approx(shape.mean_turns, rel=0.1)
    users = mean(count_tokens(text) for talk in kept for text in talk.users)
    assert users == pytest.approx(shape.user_tokens, rel=0.1)
    assistants = mean(count_tokens(text) for talk in kept for text in talk.assistants)
    assert assistants == pytest.approx(shape.assistant_tokens, rel=0.1)


def test_only_defective_conversations_are_dropped(talks: list[Talk]) -> None:
    for talk in talks:
        if talk.drops:
            assert talk.defects - FLAG_ONLY, talk
        elif not talk.defects:
            assert not talk.rules, talk
    dropped = sum(bool(talk.drops) for talk in talks) / len(talks)
    assert dropped == pytest.approx(0.125, abs=0.025)


def test_every_defect_is_recognised(talks: list[Talk]) -> None:
    for talk in talks:
        assert bool(talk.drops) == bool(talk.defects - FLAG_ONLY), talk
        for kind in talk.defects & FLAG_ONLY:
            assert RULE_OF[kind] in talk.rules, talk
    kinds = Counter(kind for talk in talks for kind in talk.defects)
    assert set(kinds) == set(Defect)


def test_sound_turns_name_a_taste_and_offer_options(talks: list[Talk], language: str) -> None:
    aspects = tuple(aspect.key for aspect in ASPECTS)
    for talk in talks:
        if talk.defects:
            continue
        lines = read_profile(talk.profile)
        assert lines is not None
        mine = [statement.text for statement in statements(lines, aspects, language)]
        for turn in talk.users:
            assert any(text in turn for text in mine), turn
        for reply in talk.assistants:
            assert len(option_names(reply)) >= 3, reply
