"""Pretrained language models as makers of cells: asked as they are, with examples, or tuned first."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.util import find_spec
from math import exp
from pathlib import Path
from statistics import median_low
from typing import Any

from engine.errors import BadInput, UsageError
from engine.experiments.cells import CannotRun, Predictions
from engine.experiments.examples import draw_examples
from engine.experiments.plm_model import PromptedModel, family_of, not_loadable
from engine.experiments.plm_prompt import PROMPTS, Family, Prompt, read_prompt
from engine.experiments.plm_training import (
    Example,
    MicroBatch,
    TrainingSettings,
    asked,
    is_out_of_memory,
    score_all,
    train,
)
from engine.experiments.samples import Sample
from engine.experiments.splits import SplitSamples
from engine.experiments.traditional import library_versions

GROUP = "plm"
_BATCH = 32
_VIRTUAL_TOKENS = 20
_EXAMPLES_PER_LABEL = 1

# The paper's ten: name in the table -> name of the published weights.
PAPER_MODELS: Mapping[str, str] = {
    "BERT-base": "google-bert/bert-base-uncased",
    "BERT-large": "google-bert/bert-large-uncased",
    "RoBERTa-base": "FacebookAI/roberta-base",
    "RoBERTa-large": "FacebookAI/roberta-large",
    "GPT2-base": "openai-community/gpt2",
    "GPT2-medium": "openai-community/gpt2-medium",
    "GPT2-large": "openai-community/gpt2-large",
    "T5-small": "google-t5/t5-small",
    "T5-base": "google-t5/t5-base",
    "T5-large": "google-t5/t5-large",
}


class Mode(StrEnum):
    """How a model is used."""

    ZERO_SHOT = "zero-shot"
    FEW_SHOT = "few-shot"
    FINE_TUNED = "fine-tuned"
    PROMPT_TUNED = "prompt-tuned"


TRAINING: Mapping[Mode, TrainingSettings] = {
    Mode.FINE_TUNED: TrainingSettings(learning_rate=2e-5),
    # Few parameters, and none of them pretrained: they need larger steps and more of them.
    Mode.PROMPT_TUNED: TrainingSettings(learning_rate=1e-2, epochs=20, patience=4, weight_decay=0.0),
}


def require_plm() -> None:
    """Refuse, saying what to install, where torch or transformers is absent."""
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"pretrained models need {' and '.join(missing)}: pip install 'recsim-engine[experiments,plm]'"
        )


@dataclass(frozen=True, slots=True)
class PlmModel:
    """One model in one mode. `source` is a folder or a published name; `name` is the table's."""

    name: str
    source: str
    use: Mode
    prompts: Path = PROMPTS
    settings: TrainingSettings | None = None
    group: str = GROUP

    @property
    def mode(self) -> str:
        return str(self.use)

    @property
    def is_seeded(self) -> bool:
        return self.use is not Mode.ZERO_SHOT

    @property
    def params(self) -> Mapping[str, object]:
        family, weights = identify(self.source)
        params: dict[str, object] = {
            "family": str(family),
            "weights": weights,
            "prompt": self._prompt(family).digest,
        }
        if self.use is Mode.FEW_SHOT:
            params["examples_per_label"] = _EXAMPLES_PER_LABEL
        if self.use is Mode.PROMPT_TUNED:
            params["virtual_tokens"] = _VIRTUAL_TOKENS
        if self._training is not None:
            params["training"] = asdict(self._training)
        return params

    @property
    def versions(self) -> Mapping[str, str]:
        return library_versions("torch", "transformers")

    @property
    def _training(self) -> TrainingSettings | None:
        return self.settings or TRAINING.get(self.use) if self.use in TRAINING else None

    def _prompt(self, family: Family) -> Prompt:
        prompt = read_prompt(family, self.prompts)
        if prompt.answer == "generate" and family is not Family.SEQ2SEQ:
            raise BadInput(
                f"{self.prompts / f'{family}.yaml'}: only an encoder-decoder can be asked with"
                " `answer: generate`. Write `answer: score`."
            )
        return prompt

    def run(self, samples: SplitSamples, seed: int, folder: Path) -> Predictions:
        """Tune where the mode says so, then ask. Raises CannotRun where examples or the model do not fit."""
        try:
            return self._run(samples, seed, folder)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise CannotRun(f"/ (the memory of the {_device()} does not hold it)") from error

    def _run(self, samples: SplitSamples, seed: int, folder: Path) -> Predictions:
        family, _ = identify(self.source)
        prompt = self._prompt(family)
        virtual_tokens = _VIRTUAL_TOKENS if self.use is Mode.PROMPT_TUNED else 0
        model = PromptedModel(
            self.source, family, prompt, samples.labels,
            device=_device(), virtual_tokens=virtual_tokens, seed=seed,
        )  # fmt: skip
        shown = draw_examples(samples, seed, _EXAMPLES_PER_LABEL) if self.use is Mode.FEW_SHOT else []
        if shown:
            _refuse_too_long(model, samples.test, shown)
        notes: dict[str, object] = {}
        if self._training is not None:
            parts = [
                [Example(model.encode(s.text), samples.labels.index(s.intent)) for s in part]
                for part in (samples.train, samples.validation)
            ]
            notes = train(model, parts[0], parts[1], self._training, seed, folder)
        prompts = [model.encode(sample.text, shown) for sample in samples.test]
        notes["shortened"] = sum(each.is_cut for each in prompts)
        notes["device"] = model.device
        micro = MicroBatch(_BATCH)
        if prompt.answer == "generate":
            return Predictions(tuple(asked(model, prompts, micro, model.generate)), None, notes)
        rows = score_all(model, prompts, micro)
        best = [row.index(max(row)) for row in rows]
        confidence = tuple(round(_share(row, i), 4) for row, i in zip(rows, best, strict=True))
        return Predictions(tuple(samples.labels[i] for i in best), confidence, notes)


@lru_cache
def identify(source: str) -> tuple[Family, str]:
    """(family, what names the weights): a digest of the folder's files, or name and revision."""
    from transformers import AutoConfig

    try:
        config: Any = AutoConfig.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise not_loadable(source, error) from error
    if not Path(source).is_dir():
        return family_of(config), f"{source}@{getattr(config, '_commit_hash', None)}"
    digest = hashlib.sha256()
    for path in sorted(path for path in Path(source).iterdir() if path.is_file()):
        with path.open("rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return family_of(config), digest.hexdigest()[:16]


def named_sources(given: Iterable[str], papers: Mapping[str, str]) -> dict[str, str]:
    """Name in the table -> source, for models of the user's (folders, published names) and of the paper's.

    A name is a source's last part, or all of it where another model has that: two models are never one row.
    """
    sources: dict[str, str] = dict(papers)
    for source in dict.fromkeys(str(Path(each)) for each in given):
        name = Path(source).resolve().name or source
        sources[name if sources.get(name, source) == source else source] = source
    return sources


def paper_source(published: str, folder: Path | None) -> str:
    """Where a paper's model lies: in `folder` under the last part of its name, where it is there."""
    local = None if folder is None else folder / published.rsplit("/", 1)[-1]
    return str(local) if local is not None and local.is_dir() else published


def _refuse_too_long(model: PromptedModel, test: Sequence[Sample], shown: Sequence[tuple[str, str]]) -> None:
    # A few long utterances may be shortened; where the median one does not fit, it is another experiment.
    needed = median_low(model.length(sample.text, shown) for sample in test)
    if needed > model.limit:
        raise CannotRun(f"/ ({needed} tokens needed, {model.limit} possible)")


def _share(scores: Sequence[float], i: int) -> float:
    return 1 / sum(exp(each - scores[i]) for each in scores)


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
