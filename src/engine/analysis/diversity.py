"""How varied a set of utterances is: measures that depend on length, so they are taken at equal length.

All of them rise or fall with the amount of text. So both datasets are cut to the same number of units, by
drawing utterances without replacement; what is reported is the mean over several draws and their range, which
says how much the choice of utterances matters, and is no interval of the difference between two populations.
"""

from __future__ import annotations

import math
import zlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from engine.analysis.words import ngrams

DRAWS = 6
MOST_UNITS = 3_000
_FEWEST_UNITS = 200
# Each self-BLEU is of so many utterances against each other at most: its cost is that of their n-grams.
_BLEU_UTTERANCES = 200
_SEED = 42

Units = list[str]


@dataclass(frozen=True, slots=True)
class Spread:
    """The mean over draws, the smallest and the largest."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class DiversityRow:
    """One measure of both datasets at `units` units each; `is_more_varied_high`: more is more varied."""

    measure: str
    is_more_varied_high: bool
    units: int
    first: Spread
    second: Spread
    difference: Spread


def distinct(utterances: Sequence[Units], n: int) -> float:
    """Distinct n-grams over all n-grams (Li et al. 2016)."""
    counts = Counter(gram for utterance in utterances for gram in ngrams(utterance, n))
    return len(counts) / total if (total := counts.total()) else 0.0


def compression_ratio(utterances: Sequence[Units]) -> float:
    """Bytes over zlib's bytes of all utterances in a row (Shaib et al. 2024); more is more repetitive."""
    text = "\n".join(" ".join(utterance) for utterance in utterances).encode("utf-8", "replace")
    return len(text) / len(zlib.compress(text, 9)) if text else 0.0


def self_repetition(utterances: Sequence[Units], n: int = 4) -> float:
    """Share of utterances with an n-gram that another one has too; of those that have n-grams at all."""
    grams = [set(ngrams(utterance, n)) for utterance in utterances if len(utterance) >= n]
    owners = Counter(gram for each in grams for gram in each)
    return sum(any(owners[gram] > 1 for gram in each) for each in grams) / len(grams) if grams else 0.0


def self_bleu(utterances: Sequence[Units], most_n: int = 4) -> float:
    """Mean BLEU of each utterance against all others (Zhu et al. 2018); more is more alike.

    One is added to the matches and totals of n > 1 (Lin and Och 2004), so that short ones have a score.
    """
    kept = [utterance for utterance in utterances if utterance][:_BLEU_UTTERANCES]
    if len(kept) < 2:
        return 0.0
    counts = [[Counter(ngrams(u, n)) for n in range(1, most_n + 1)] for u in kept]
    # For each n-gram the largest count, who has it, and the largest of the others: the clip of each
    # utterance's references, without comparing all pairs.
    best: list[dict[tuple[str, ...], tuple[int, int, int]]] = [{} for _ in range(most_n)]
    for owner, by_n in enumerate(counts):
        for grams, table in zip(by_n, best, strict=True):
            for gram, count in grams.items():
                most, whose, second = table.get(gram, (0, -1, 0))
                table[gram] = (count, owner, most) if count > most else (most, whose, max(second, count))
    lengths = sorted(map(len, kept))
    return sum(_bleu(kept[i], i, counts[i], best, lengths) for i in range(len(kept))) / len(kept)


def _bleu(
    utterance: Units,
    owner: int,
    counts: Sequence[Counter[tuple[str, ...]]],
    best: Sequence[Mapping[tuple[str, ...], tuple[int, int, int]]],
    lengths: Sequence[int],
) -> float:
    logs = 0.0
    for n, (grams, table) in enumerate(zip(counts, best, strict=True)):
        matched = sum(
            min(count, second if whose == owner else most)
            for gram, count in grams.items()
            for most, whose, second in (table[gram],)
        )
        total, more = grams.total(), n > 0
        if matched + more == 0:
            return 0.0
        logs += math.log((matched + more) / (total + more))
    reference = _closest_other(len(utterance), lengths)
    brevity = min(0.0, 1 - reference / len(utterance))
    return math.exp(logs / len(counts) + brevity)


def _closest_other(length: int, lengths: Sequence[int]) -> int:
    """The length nearest to this one among the others'; `lengths` is sorted and holds this one, too."""
    at = bisect_left(lengths, length)
    others = [lengths[i] for i in (at - 1, at + 1) if 0 <= i < len(lengths)]
    return min(others, key=lambda other: (abs(other - length), other))


MEASURES: Mapping[str, tuple[Callable[[Sequence[Units]], float], bool]] = {
    "distinct-1": (lambda utterances: distinct(utterances, 1), True),
    "distinct-2": (lambda utterances: distinct(utterances, 2), True),
    "distinct-3": (lambda utterances: distinct(utterances, 3), True),
    "compression ratio": (compression_ratio, False),
    "self-repetition (4-grams)": (self_repetition, False),
    "self-BLEU": (self_bleu, False),
}


def compare_diversity(
    first: Sequence[Units], second: Sequence[Units], *, draws: int = DRAWS
) -> list[DiversityRow]:
    """All measures of both at equal length; empty where one of them has too little text to say anything."""
    # Half of the smaller one: draws of nearly everything would all be the same and show no spread.
    length = min(MOST_UNITS, sum(map(len, first)) // 2, sum(map(len, second)) // 2)
    if length < _FEWEST_UNITS:
        return []
    drawn = [
        (cut(first, length, Random(f"{_SEED} {i} first")), cut(second, length, Random(f"{_SEED} {i} second")))
        for i in range(draws)
    ]
    rows = []
    for name, (measure, is_high) in MEASURES.items():
        values = [(measure(a), measure(b)) for a, b in drawn]
        one, other = ([pair[i] for pair in values] for i in (0, 1))
        rows.append(
            DiversityRow(
                name, is_high, length, spread(one), spread(other), spread([b - a for a, b in values])
            )
        )
    return rows


def cut(utterances: Sequence[Units], length: int, random: Random) -> list[Units]:
    """Utterances drawn without replacement, `length` units in all; the last one is cut there."""
    drawn: list[Units] = []
    for at in random.sample(range(len(utterances)), len(utterances)):
        if length <= 0:
            break
        if utterances[at]:
            drawn.append(utterances[at][:length])
            length -= len(drawn[-1])
    return drawn


def spread(values: Sequence[float]) -> Spread:
    """Mean and range."""
    return Spread(sum(values) / len(values), min(values), max(values))
