"""Each architecture is asked, tuned, stopped and gone on with, on tiny models with random weights.

They say nothing about real models: they show that the loops do what they say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.labelled_conversations import labelled
from tests.doubles.tiny_models import save_tiny_model

from engine.errors import BadInput
from engine.experiments import plm_training
from engine.experiments.cells import CannotRun
from engine.experiments.plm import Mode, PlmModel, identify
from engine.experiments.plm_model import PromptedModel
from engine.experiments.plm_prompt import Family, read_prompt
from engine.experiments.plm_training import Example, MicroBatch, TrainingSettings, train
from engine.experiments.samples import collect_samples
from engine.experiments.scores import score
from engine.experiments.splits import SplitKind, SplitSamples, make_split, take

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

KINDS = {"bert": Family.MASKED, "roberta": Family.MASKED, "gpt2": Family.CAUSAL, "t5": Family.SEQ2SEQ}
QUICK = TrainingSettings(learning_rate=5e-3, epochs=10, patience=10, batch=16)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: save_tiny_model(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


@pytest.fixture(scope="module")
def samples() -> SplitSamples:
    data = collect_samples(labelled(40))
    return take(data, make_split(data, SplitKind.CONVERSATION, 42))


def prompted(folder: Path, family: Family, labels: Sequence[str], virtual_tokens: int = 0) -> PromptedModel:
    prompt = read_prompt(family)
    return PromptedModel(str(folder), family, prompt, labels, device="cpu", virtual_tokens=virtual_tokens)


def accuracy(samples: SplitSamples, predicted: Sequence[str]) -> float:
    return score([sample.intent for sample in samples.test], predicted, samples.labels).accuracy


@pytest.mark.parametrize("kind", KINDS)
def test_family_is_found(folders: dict[str, Path], kind: str) -> None:
    family, weights = identify(str(folders[kind]))
    assert family is KINDS[kind]
    assert len(weights) == 16


@pytest.mark.parametrize("kind", KINDS)
def test_scores_do_not_depend_on_what_else_is_asked(
    folders: dict[str, Path], samples: SplitSamples, kind: str
) -> None:
    """Padding, batches and words of several tokens change nothing."""
    labels = (*samples.labels, "Chit-chat")
    for virtual_tokens in (0, 3):
        model = prompted(folders[kind], KINDS[kind], labels, virtual_tokens)
        model.model.eval()
        prompts = [model.encode(text) for text in ("plan", "find the opening hours of a week", "great")]
        with torch.no_grad():
            together = model.scores(prompts)
            alone = torch.cat([model.scores([prompt]) for prompt in prompts])
        assert together.shape == (3, 6)
        assert torch.allclose(together, alone, atol=1e-5)
        assert (together < 0).all()


def test_a_continuations_score_is_the_models_own_probability(
    folders: dict[str, Path], samples: SplitSamples
) -> None:
    model = prompted(folders["gpt2"], Family.CAUSAL, ("Chit-chat",))
    model.model.eval()
    prompt = model.encode("plan the week")
    (word,) = model.words
    assert len(word) == 3
    ids = torch.tensor([[*prompt.before, *word]])
    with torch.no_grad():
        log_probabilities = model.model(ids).logits.log_softmax(dim=-1)[0]
        by_hand = (
            sum(log_probabilities[len(prompt.before) - 1 + i, token] for i, token in enumerate(word)) / 3
        )
        assert model.scores([prompt])[0, 0].item() == pytest.approx(by_hand.item(), abs=1e-5)


def test_a_continuation_takes_no_memory_for_the_logits_of_its_prompt(folders: dict[str, Path]) -> None:
    model = prompted(folders["gpt2"], Family.CAUSAL, ("Planning", "Others"), virtual_tokens=3)
    shapes = []
    model.model.register_forward_hook(lambda module, inputs, output: shapes.append(output.logits.shape))
    prompts = [model.encode(text) for text in ("plan the week", "find the opening hours of a week")]
    with torch.no_grad():
        model.scores(prompts)
    # Four rows of two lengths, and a word of one token: two places, whatever the prompts' length.
    assert [tuple(shape[:2]) for shape in shapes] == [(4, 2)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_utterance_is_cut_so_that_its_answer_fits(
    folders: dict[str, Path], samples: SplitSamples, kind: str
) -> None:
    model = prompted(folders[kind], KINDS[kind], samples.labels)
    short, long = model.encode("plan the week"), model.encode("plan the week " * 100)
    assert (short.is_cut, long.is_cut) == (False, True)
    assert model.limit - 3 < len(long.before) + len(long.after) <= model.limit
    with torch.no_grad():
        assert model.scores([long, short]).isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_zero_shot_answers_every_sample(
    folders: dict[str, Path], samples: SplitSamples, tmp_path: Path, kind: str
) -> None:
    answers = PlmModel(kind, str(folders[kind]), Mode.ZERO_SHOT).run(samples, 42, tmp_path)
    assert len(answers.predicted) == len(samples.test)
    assert set(answers.predicted) <= {*samples.labels, ""}
    # What an encoder-decoder writes comes without a confidence.
    assert (answers.confidence is None) is (kind == "t5")
    assert not list(tmp_path.iterdir())


def test_few_shot_is_run_where_it_fits_and_says_both_lengths_where_not(
    folders: dict[str, Path], samples: SplitSamples, tmp_path: Path
) -> None:
    few = PlmModel("gpt2", str(folders["gpt2"]), Mode.FEW_SHOT)
    assert few.run(samples, 42, tmp_path).notes["shortened"] == 0
    shorter = save_tiny_model("gpt2", tmp_path / "shorter", positions=60)
    with pytest.raises(CannotRun, match=r"/ \(\d+ tokens needed, 59 possible\)"):
        PlmModel("gpt2", str(shorter), Mode.FEW_SHOT).run(samples, 42, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_fine_tuning_learns(
    folders: dict[str, Path], samples: SplitSamples, tmp_path: Path, kind: str
) -> None:
    runner = PlmModel(kind, str(folders[kind]), Mode.FINE_TUNED, settings=QUICK)
    # Twelve new samples alone would leave it to chance.
    everything = replace(samples, test=samples.train + samples.test)
    answers = runner.run(everything, 42, tmp_path)
    assert accuracy(everything, answers.predicted) > 0.6
    assert answers.notes["best_epoch"] >= 1  # type: ignore[operator]


@pytest.mark.parametrize("kind", KINDS)
def test_prompt_tuning_changes_the_virtual_tokens_alone_and_lowers_the_loss(
    folders: dict[str, Path], samples: SplitSamples, tmp_path: Path, kind: str
) -> None:
    model = prompted(folders[kind], KINDS[kind], samples.labels, virtual_tokens=8)
    before = {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
    examples = encoded(model, samples)
    first = loss_of(model, examples)
    settings = TrainingSettings(learning_rate=5e-2, epochs=4, patience=4, batch=16, weight_decay=0.0)
    train(model, examples, examples[:20], settings, 42, tmp_path)
    assert loss_of(model, examples) < first
    after = model.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def encoded(model: PromptedModel, samples: SplitSamples) -> list[Example]:
    return [Example(model.encode(s.text), samples.labels.index(s.intent)) for s in samples.train]


def loss_of(model: PromptedModel, examples: list[Example]) -> float:
    model.model.eval()
    with torch.no_grad():
        return float(model.loss([e.prompt for e in examples], [e.gold for e in examples])) / len(examples)


def test_a_training_that_was_killed_ends_as_if_it_had_not_been(
    folders: dict[str, Path], samples: SplitSamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings(learning_rate=5e-3, epochs=4, patience=4, batch=16)

    def trained(folder: Path) -> dict[str, Any]:
        model = prompted(folders["bert"], Family.MASKED, samples.labels)
        examples = encoded(model, samples)
        train(model, examples, examples[:20], settings, 42, folder)
        return model.state()

    whole = trained(tmp_path / "whole")
    evaluate, calls = plm_training.evaluate, []

    def killed(*arguments: Any) -> float:
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(plm_training, "evaluate", killed)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "killed")
    resumed = trained(tmp_path / "killed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_training_stops_when_validation_no_longer_improves(
    folders: dict[str, Path], samples: SplitSamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([0.3, 0.5, 0.4, 0.5])
    monkeypatch.setattr(plm_training, "evaluate", lambda *_: next(found))
    model = prompted(folders["bert"], Family.MASKED, samples.labels)
    notes = train(
        model, encoded(model, samples)[:16], [], TrainingSettings(1e-3, epochs=9, batch=16), 42, tmp_path
    )
    assert (notes["epochs"], notes["best_epoch"]) == (4, 2)


def test_a_batch_that_memory_does_not_hold_is_computed_in_parts_to_the_same_end(
    folders: dict[str, Path], samples: SplitSamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings(learning_rate=1e-3, epochs=1, batch=16)
    states: list[dict[str, Any]] = []
    notes: list[dict[str, object]] = []
    of_cpu = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 400000000000000 bytes."
    for most, error in (
        (99, None),
        (5, torch.OutOfMemoryError("no memory is left")),
        (5, RuntimeError(of_cpu)),
    ):
        model = prompted(folders["gpt2"], Family.CAUSAL, samples.labels)
        for module in model.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        loss = model.loss

        def limited(
            prompts: Sequence[Any],
            gold: Sequence[int],
            most: int = most,
            error: Any = error,
            loss: Any = loss,
        ) -> Any:
            if len(prompts) > most:
                raise error
            return loss(prompts, gold)

        monkeypatch.setattr(model, "loss", limited)
        examples = encoded(model, samples)
        notes.append(train(model, examples, examples[:8], settings, 42, tmp_path / str(len(notes))))
        states.append(model.state())
    assert [each["computed_at_once"] for each in notes] == [16, 4, 4]
    for state in states[1:]:
        assert all(torch.allclose(states[0][name], state[name], atol=1e-5) for name in state)


def test_memory_that_holds_nothing_is_no_endless_loop() -> None:
    def never(size: int) -> None:
        raise torch.OutOfMemoryError("no memory is left")

    with pytest.raises(torch.OutOfMemoryError):
        MicroBatch(8).during(never, lambda: None)


@pytest.mark.parametrize("mode", [Mode.ZERO_SHOT, Mode.PROMPT_TUNED])
def test_a_model_that_memory_does_not_hold_is_a_row_without_figures(
    folders: dict[str, Path],
    samples: SplitSamples,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: Mode,
) -> None:
    def never(self: PromptedModel, *_: object) -> None:
        torch.empty(10**14)

    monkeypatch.setattr(PromptedModel, "_inputs", never)
    with pytest.raises(CannotRun, match=r"^/ \(the memory of the cpu does not hold it\)"):
        PlmModel("gpt2", str(folders["gpt2"]), mode).run(samples, 42, tmp_path)


def test_another_error_is_not_taken_for_a_lack_of_memory(
    folders: dict[str, Path], samples: SplitSamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PromptedModel, "_inputs", lambda self, *_: torch.ones(2) @ torch.ones(3))
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        PlmModel("gpt2", str(folders["gpt2"]), Mode.ZERO_SHOT).run(samples, 42, tmp_path)


def test_weights_and_prompt_are_part_of_the_key(folders: dict[str, Path], tmp_path: Path) -> None:
    first = PlmModel("m", str(folders["bert"]), Mode.ZERO_SHOT).params
    assert first == PlmModel("m", str(folders["bert"]), Mode.ZERO_SHOT).params
    assert first["weights"] != PlmModel("m", str(folders["roberta"]), Mode.ZERO_SHOT).params["weights"]
    prompt = read_prompt(Family.MASKED)
    (tmp_path / "masked.yaml").write_text(
        prompt.model_copy(update={"template": prompt.template + "!"}).model_dump_json(), "utf-8"
    )
    other = PlmModel("m", str(folders["bert"]), Mode.ZERO_SHOT, tmp_path).params
    assert first["prompt"] != other["prompt"]


def test_only_an_encoder_decoder_can_be_asked_to_generate(folders: dict[str, Path], tmp_path: Path) -> None:
    generated = read_prompt(Family.CAUSAL).model_copy(update={"answer": "generate"})
    (tmp_path / "causal.yaml").write_text(generated.model_dump_json(), "utf-8")
    with pytest.raises(BadInput, match=r"causal\.yaml: only an encoder-decoder .* Write `answer: score`"):
        _ = PlmModel("m", str(folders["gpt2"]), Mode.ZERO_SHOT, tmp_path).params


def test_label_words_that_the_tokenizer_does_not_know_are_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(BadInput, match="does not tell the label words apart"):
        prompted(folders["bert"], Family.MASKED, ("Zebra", "Giraffe"))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the model cannot be loaded"):
        identify(str(tmp_path))
