"""A cell is made once, found by what decided it, and never read where it is damaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.doubles.constant_model import Constant
from tests.doubles.labelled_conversations import labelled

from engine.errors import BadInput, RunLocked
from engine.experiments.cells import CellFolder, Predictions, cell_key, key_digest
from engine.experiments.experiment import Plan, default_seeds, run_experiment
from engine.experiments.samples import IntentData, collect_samples
from engine.experiments.splits import SplitKind, SplitSamples, make_split, take


@pytest.fixture(scope="module")
def data() -> IntentData:
    return collect_samples(labelled())


def run(data: IntentData, runner: Constant, folder: Path, *kinds: SplitKind, seeds: int = 3) -> list[str]:
    said: list[str] = []
    plan = Plan([runner], kinds or (SplitKind.UTTERANCE,), default_seeds(seeds))
    run_experiment(data, plan, CellFolder(folder), command="engine test", say=said.append)
    return said


def test_seeds_begin_with_the_papers() -> None:
    assert default_seeds(4) == [42, 0, 1, 2]
    assert len(set(default_seeds(60))) == 60


def test_a_stopped_experiment_goes_on_at_the_cell_that_it_was_in(data: IntentData, tmp_path: Path) -> None:
    first = Constant(killed_at=1)
    with pytest.raises(KeyboardInterrupt):
        run(data, first, tmp_path)
    assert first.asked == [42, 0, 1]
    second = Constant()
    assert len(run(data, second, tmp_path)) == 3
    assert second.asked == [1]
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize(
    "change", [{"params": {"C": 2}}, {"versions": {"sklearn": "2"}}, {"name": "Other"}, {"mode": "few-shot"}]
)
def test_a_cell_of_other_content_is_another_cell(
    data: IntentData, tmp_path: Path, change: dict[str, object]
) -> None:
    run(data, Constant(), tmp_path)
    other = replace(Constant(), **change)  # type: ignore[arg-type]
    run(data, other, tmp_path)
    assert len(other.asked) == 3


def test_data_and_split_are_part_of_the_key(data: IntentData) -> None:
    split, other = (make_split(data, SplitKind.UTTERANCE, seed) for seed in (0, 1))
    keys = [cell_key("d1", split, Constant(), 0), cell_key("d2", split, Constant(), 0)]
    keys += [cell_key("d1", other, Constant(), 0), cell_key("d1", split, Constant(), 1)]
    assert len({key_digest(key) for key in keys}) == 4


def test_a_model_without_randomness_is_run_once_on_fixed_parts(data: IntentData, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    letters = {f"gifts-{n}": "tte" if n else "tve" for n in range(40)}
    path.write_text(f'{{"split": {letters}}}'.replace("'", '"'), "utf-8")
    for is_seeded, times in ((False, 1), (True, 3)):
        runner = Constant(is_seeded=is_seeded, name=f"C{is_seeded}")
        plan = Plan([runner], (), default_seeds(3), path)
        result = run_experiment(data, plan, CellFolder(tmp_path), command="", say=lambda line: None)
        assert len(runner.asked) == times
        assert result.splits[0].rows[0].interval_kind.startswith("bootstrap")


def test_what_the_last_model_lacks_is_said_before_the_first_is_asked(
    data: IntentData, tmp_path: Path
) -> None:
    class Unreadable(Constant):
        def __getattribute__(self, name: str) -> object:
            if name == "params":
                raise BadInput("the weights are not there")
            return super().__getattribute__(name)

    first = Constant()
    plan = Plan([first, Unreadable()], [SplitKind.UTTERANCE], [42])
    with pytest.raises(BadInput, match="weights"):
        run_experiment(data, plan, CellFolder(tmp_path), command="", say=lambda line: None)
    assert first.asked == []


def test_a_split_that_cannot_be_is_refused_before_another_is_worked_on(tmp_path: Path) -> None:
    runner = Constant()
    with pytest.raises(BadInput, match="a split by profile needs at least 10"):
        run(collect_samples(labelled(profiles=9)), runner, tmp_path, SplitKind.UTTERANCE, SplitKind.PROFILE)
    assert runner.asked == []


def test_one_experiment_at_a_time_works_in_a_folder(data: IntentData, tmp_path: Path) -> None:
    with CellFolder(tmp_path).alone(), pytest.raises(RunLocked, match="another process makes cells here"):
        run(data, Constant(), tmp_path)
    assert len(run(data, Constant(), tmp_path)) == 3


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format": "recsim-intent-cell/1"'])
def test_a_damaged_cell_is_named_not_believed(data: IntentData, tmp_path: Path, content: bytes) -> None:
    run(data, Constant(), tmp_path, seeds=1)
    (path,) = tmp_path.glob("*.json")
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"damaged\. Remove the file"):
        run(data, Constant(), tmp_path, seeds=1)


def test_a_cell_under_anothers_name_is_refused(data: IntentData, tmp_path: Path) -> None:
    run(data, Constant(), tmp_path, seeds=2)
    first, second = tmp_path.glob("*.json")
    first.write_bytes(second.read_bytes())
    with pytest.raises(BadInput, match="holds another cell"):
        run(data, Constant(), tmp_path, seeds=2)


def test_a_model_that_answers_too_little_is_a_bug(data: IntentData, tmp_path: Path) -> None:
    class Short(Constant):
        def run(self, samples: SplitSamples, seed: int, folder: Path) -> Predictions:
            return Predictions(("Planning",))

    split = make_split(data, SplitKind.UTTERANCE, 0)
    with pytest.raises(ValueError, match="1 answers to 12 samples"):
        CellFolder(tmp_path).make({}, Short(), take(data, split), 0, "")
