"""Trains a prompted model: early stopping, a checkpoint after each epoch, in whatever memory there is.

Everything random in an epoch is drawn from (seed, epoch), so a training that was killed goes on as if it had
not been. Where memory runs out the part of a batch that is computed at once is halved and gradients are added
up: the batch that the optimizer sees stays as it is set.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from engine.dataset.build import replacing
from engine.experiments.plm_model import Encoded, PromptedModel, batches
from engine.experiments.scores import score

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How to train. `batch` is what the optimizer sees.

    Training ends when `patience` epochs brought no better macro-F1 on the validation part, or after `epochs`.
    The rate rises over the share `warmup` of all steps, then falls in a line to 0.
    """

    learning_rate: float
    epochs: int = 10
    patience: int = 2
    batch: int = 32
    warmup: float = 0.1
    weight_decay: float = 0.01
    max_norm: float = 1.0


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt and the position of its right label."""

    prompt: Encoded
    gold: int


@dataclass(slots=True)
class MicroBatch:
    """How many prompts are computed at once: halved for good whenever memory runs out."""

    size: int

    def during(self, work: Callable[[int], Any], clean: Callable[[], None]) -> Any:
        """`work(size)`, again with half the size after `clean` while memory runs out."""
        import torch

        while True:
            try:
                return work(self.size)
            except RuntimeError as error:
                if self.size == 1 or not is_out_of_memory(error):
                    raise
            # Behind the handler, whose traceback would keep the tensors alive.
            self.size //= 2
            clean()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether memory ran out: a GPU has an error of its own, the CPU's allocator only words."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def train(
    model: PromptedModel,
    training: Sequence[Example],
    validation: Sequence[Example],
    settings: TrainingSettings,
    seed: int,
    folder: Path,
) -> dict[str, object]:
    """Train in place and leave the best epoch's weights in `model`; notes: best epoch, epochs, batch parts.

    A checkpoint in `folder` is gone on from.
    """
    import torch

    parameters = model.trained_parameters()
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    # fp16 alone needs its gradients scaled; bf16 and the CPU do not.
    scaler = torch.amp.GradScaler(enabled=_half_type(model.device) is torch.float16)
    micro = MicroBatch(settings.batch)
    history: list[float] = []
    best: dict[str, Any] = model.state()
    path = folder / CHECKPOINT
    if path.exists():
        # Our own file; weights_only keeps even a planted one from running code.
        kept = torch.load(path, map_location="cpu", weights_only=True)
        model.load(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        scaler.load_state_dict(kept["scaler"])
        history, best, micro.size = kept["history"], kept["best"], kept["micro"]
    steps = -(-len(training) // settings.batch)
    while len(history) < settings.epochs and not _is_over(history, settings.patience):
        epoch = len(history)
        _seed(seed, epoch)
        order = random.Random(f"{seed}/{epoch}").sample(range(len(training)), len(training))
        model.model.train()
        for number, part in enumerate(batches(len(order), settings.batch)):
            rate = _rate(epoch * steps + number, steps * settings.epochs, settings.warmup)
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * rate
            _step(model, [training[i] for i in order[part]], optimizer, scaler, micro, settings.max_norm)
        found = evaluate(model, validation, micro)
        if not history or found > max(history):
            best = model.state()
        history.append(found)
        with replacing(path) as file:
            torch.save(
                {
                    "model": model.state(),
                    "best": best,
                    "optimizer": optimizer.state_dict(),
                    "scaler": scaler.state_dict(),
                    "history": history,
                    "micro": micro.size,
                },
                file,
            )
    model.load(best)
    return {
        "epochs": len(history),
        "best_epoch": history.index(max(history)) + 1,
        "validation_macro_f1": [round(value, 4) for value in history],
        "computed_at_once": micro.size,
        "settings": asdict(settings),
    }


def evaluate(model: PromptedModel, examples: Sequence[Example], micro: MicroBatch) -> float:
    """Macro-F1 by the label words' scores."""
    rows = score_all(model, [each.prompt for each in examples], micro)
    predicted = [model.labels[row.index(max(row))] for row in rows]
    return score([model.labels[each.gold] for each in examples], predicted, model.labels).macro_f1


def score_all(model: PromptedModel, prompts: Sequence[Encoded], micro: MicroBatch) -> list[list[float]]:
    """(prompts, labels) scores, without gradients."""
    found: list[list[float]] = asked(model, prompts, micro, lambda part: model.scores(part).float().tolist())
    return found


def asked(
    model: PromptedModel,
    prompts: Sequence[Encoded],
    micro: MicroBatch,
    ask: Callable[[Sequence[Encoded]], list[Any]],
) -> list[Any]:
    """The answers of `ask` to all prompts, in parts that the memory holds."""
    import torch

    model.model.eval()
    answers: list[Any] = []
    with torch.no_grad(), half_precision(model.device):
        while len(answers) < len(prompts):
            rest = prompts[len(answers) :]
            answers += micro.during(partial(_ask_first, ask, rest), lambda: None)
    return answers


def _ask_first(
    ask: Callable[[Sequence[Encoded]], list[Any]], prompts: Sequence[Encoded], size: int
) -> list[Any]:
    return ask(prompts[:size])


def half_precision(device: str) -> AbstractContextManager[Any]:
    """Mixed precision on a GPU, nothing elsewhere."""
    import torch

    half = _half_type(device)
    return nullcontext() if half is None else torch.autocast("cuda", dtype=half)


def _step(
    model: PromptedModel,
    batch: Sequence[Example],
    optimizer: Any,
    scaler: Any,
    micro: MicroBatch,
    max_norm: float,
) -> None:
    import torch

    def add_gradients(size: int) -> None:
        for part in batches(len(batch), size):
            examples = batch[part]
            with half_precision(model.device):
                loss = model.loss([e.prompt for e in examples], [e.gold for e in examples]) / len(batch)
            scaler.scale(loss).backward()

    optimizer.zero_grad(set_to_none=True)
    micro.during(add_gradients, lambda: optimizer.zero_grad(set_to_none=True))
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(model.trained_parameters(), max_norm)
    scaler.step(optimizer)
    scaler.update()


def _half_type(device: str) -> Any:
    import torch

    if not device.startswith("cuda"):
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _seed(seed: int, epoch: int) -> None:
    import torch

    torch.manual_seed(random.Random(f"{seed}/{epoch}/dropout").getrandbits(31))


def _rate(step: int, steps: int, warmup: float) -> float:
    rising = max(1, round(steps * warmup))
    return (step + 1) / rising if step < rising else (steps - step) / max(1, steps - rising)


def _is_over(history: Sequence[float], patience: int) -> bool:
    return len(history) - 1 - history.index(max(history)) >= patience if history else False
