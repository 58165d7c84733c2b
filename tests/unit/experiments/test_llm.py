"""What decides an LLM's answers names them; what does not fit is refused before anything is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.doubles.labelled_conversations import labelled

from engine.config.model_settings import ModelSettings
from engine.errors import CallFailed
from engine.experiments.cells import CannotRun
from engine.experiments.llm import LlmModel
from engine.experiments.plm import Mode
from engine.experiments.samples import collect_samples
from engine.experiments.splits import SplitKind, SplitSamples, make_split, take
from engine.runner.stage import Stage
from engine.schema.call import NO_USAGE, Reply

SETTINGS = ModelSettings(model="m", temperature=0.0, max_tokens=64)


@pytest.fixture(scope="module")
def samples() -> SplitSamples:
    data = collect_samples(labelled(60))
    return take(data, make_split(data, SplitKind.UTTERANCE, 42))


class Asked(Exception):
    """Stands for the journal: nothing is sent in these tests."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.name)
        self.stage = stage


def note_down(stage: Stage) -> Path:
    raise Asked(stage)


def stage_of(model: LlmModel, samples: SplitSamples, seed: int = 42) -> Stage:
    with pytest.raises(Asked) as asked:
        model.run(samples, seed, Path())
    return asked.value.stage


ZERO = LlmModel("m", SETTINGS, Mode.ZERO_SHOT, note_down)
FEW = LlmModel("m", SETTINGS, Mode.FEW_SHOT, note_down)


def test_zero_shot_is_one_stage_for_all_parts_and_few_shot_one_for_each_set_of_examples(
    samples: SplitSamples,
) -> None:
    fewer = replace(samples, test=samples.test[:3])
    assert stage_of(ZERO, samples).name == stage_of(ZERO, fewer, seed=0).name
    assert stage_of(FEW, samples, 0).name == stage_of(FEW, fewer, 0).name
    assert len({stage_of(FEW, samples, seed).name for seed in (0, 1)}) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda model: replace(model, name="n"),
        lambda model: replace(model, seed=1),
        lambda model: replace(model, settings=SETTINGS.model_copy(update={"temperature": 0.5})),
        lambda model: replace(model, settings=SETTINGS.model_copy(update={"model": "n"})),
    ],
)
def test_whatever_decides_an_answer_makes_another_stage(
    samples: SplitSamples, change: Callable[[LlmModel], LlmModel]
) -> None:
    assert stage_of(change(ZERO), samples).name != stage_of(ZERO, samples).name


def test_an_utterance_that_is_tested_twice_is_asked_about_once(samples: SplitSamples) -> None:
    twice = replace(samples, test=(*samples.test, *samples.test))
    items = [item.item_id for item in stage_of(ZERO, twice).items()]
    assert items == [item.item_id for item in stage_of(ZERO, samples).items()]
    assert len(set(items)) == len(items)


def test_examples_that_do_not_fit_give_both_lengths(samples: SplitSamples) -> None:
    narrow = SETTINGS.model_copy(update={"context_tokens": 512})
    many = replace(FEW, settings=narrow, examples_per_label=10)
    with pytest.raises(CannotRun, match=r"^/ \(about \d+ tokens needed, 512 possible\)$"):
        many.run(samples, 42, Path())
    stage_of(replace(ZERO, settings=narrow), samples)


def test_a_full_context_is_no_answer_and_another_failure_is_the_callers(samples: SplitSamples) -> None:
    item = next(iter(stage_of(ZERO, samples).items()))

    def failed_by(reason: str) -> str:
        steps = item.start()
        next(steps)
        try:
            steps.throw(CallFailed(reason, ""))
        except StopIteration as stop:
            return str(stop.value.note)
        raise AssertionError("it asks on")

    assert failed_by("context_full") == '{"unread":"context_full"}'
    with pytest.raises(CallFailed):
        failed_by("bad_request")


def test_a_reply_is_asked_for_once_whatever_it_says(samples: SplitSamples) -> None:
    item = next(iter(stage_of(ZERO, samples).items()))
    for text, note in (("Planning", '{"intent":"Planning"}'), ("Well...", '{"unread":"stop"}')):
        steps = item.start()
        next(steps)
        with pytest.raises(StopIteration) as stop:
            steps.send(Reply(text, "stop", NO_USAGE, "m"))
        assert stop.value.value.note == note
