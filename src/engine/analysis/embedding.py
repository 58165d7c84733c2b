"""How far apart utterances lie in an embedding: an optional measure of diversity, by a local model.

The model is any encoder that `transformers` loads from a folder (extra `plm`); a text is the mean of its
tokens' last states. Figures of different models do not compare.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.analysis.draws import ordered_by_digest

Embed = Callable[[Sequence[str]], Any]
"""Texts to (n_texts, dimensions)."""

MOST_TEXTS = 500
_BATCH = 32
_TOKENS = 256


@dataclass(frozen=True, slots=True)
class EmbeddingSpread:
    """Mean cosine distance of all pairs of `texts` utterances of each: 0 alike, more is more varied."""

    texts: int
    first: float
    second: float


def compare_spread(first: Sequence[str], second: Sequence[str], embed: Embed) -> EmbeddingSpread | None:
    """Of equally many distinct utterances of both; None where there are fewer than two."""
    chosen = [ordered_by_digest(text for text in texts if text.strip()) for texts in (first, second)]
    n = min(MOST_TEXTS, *map(len, chosen))
    if n < 2:
        return None
    return EmbeddingSpread(n, *(_distance(embed(texts[:n])) for texts in chosen))


def _distance(vectors: Any) -> float:
    import numpy as np

    rows = np.asarray(vectors, dtype=float)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    n = len(rows)
    # The sum of all pairs' cosines is the squared length of the sum, less each with itself.
    pairs = float((rows.sum(axis=0) ** 2).sum() - (rows**2).sum())
    return 1 - pairs / (n * (n - 1))


def load_embedder(folder: Path) -> Embed:
    """The encoder in a folder of weights; nothing is fetched."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()

    def embed(texts: Sequence[str]) -> Any:
        parts = []
        for start in range(0, len(texts), _BATCH):
            batch = list(texts[start : start + _BATCH])
            read = tokenizer(batch, padding=True, truncation=True, max_length=_TOKENS, return_tensors="pt")
            with torch.no_grad():
                states = model(**read).last_hidden_state
            mask = read["attention_mask"].unsqueeze(-1)
            parts.append((states * mask).sum(dim=1) / mask.sum(dim=1))
        return torch.cat(parts).numpy()

    return embed
