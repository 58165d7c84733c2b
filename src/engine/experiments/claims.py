"""The paper's five claims about intent detection, each judged from our own cells alone.

A claim holds where accuracy and macro-F1 both say so. The rule of each is written beside it, so that a reader
can disagree with the rule rather than with the verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from engine.experiments.table import Row

NOT_RUN = "not run"
# A model whose answers are canned; no claim is judged by it.
REHEARSAL = "rehearsal"
UNTRAINED = ("zero-shot", "few-shot")
TUNED = ("fine-tuned", "prompt-tuned")
_SCORES: tuple[Callable[[Row], float], ...] = (lambda row: row.accuracy, lambda row: row.macro_f1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One claim. `verdict`: holds, does not, or not run; `rule`: how that was decided."""

    claim: str
    rule: str
    verdict: str


def judge_claims(rows: Sequence[Row]) -> list[Verdict]:
    """The five, in the paper's order, from the rows of one kind of split."""
    traditional = [row for row in rows if row.group == "traditional" and row.paper]
    untrained = [row for row in rows if row.group == "plm" and row.mode in UNTRAINED]
    tuned = [row for row in rows if row.group == "plm" and row.mode in TUNED]
    llms = [row for row in rows if row.group == "llm" and row.name != REHEARSAL]
    zero, few = ([row for row in llms if row.mode == mode] for mode in UNTRAINED)
    # Each model is compared with itself: a strong model alone in one mode would decide otherwise.
    both = {row.name for row in zero} & {row.name for row in few}
    zero, few = ([row for row in part if row.name in both] for part in (zero, few))
    return [
        _judge(
            "Untrained PLMs are poor",
            "the best untrained PLM scores below the weakest traditional model",
            (untrained, traditional),
            lambda score: max(map(score, untrained)) < min(map(score, traditional)),
        ),
        _judge(
            "LLMs are better than untrained PLMs",
            "the mean over LLMs is above the best untrained PLM",
            (llms, untrained),
            lambda score: fmean(map(score, llms)) > max(map(score, untrained)),
        ),
        _judge(
            "Few-shot examples help LLMs",
            "the mean over LLMs run both ways is higher with examples",
            (zero, few),
            lambda score: fmean(map(score, few)) > fmean(map(score, zero)),
        ),
        _judge(
            "Traditional models beat LLMs",
            "the best traditional model scores above the best LLM",
            (traditional, llms),
            lambda score: max(map(score, traditional)) > max(map(score, llms)),
        ),
        _judge(
            "Tuned PLMs are best",
            "the best tuned PLM scores above every traditional model and LLM",
            (tuned, traditional, llms),
            lambda score: max(map(score, tuned)) > max(map(score, [*traditional, *llms])),
        ),
    ]


def _judge(
    claim: str, rule: str, needed: Sequence[Sequence[Row]], holds: Callable[[Callable[[Row], float]], bool]
) -> Verdict:
    if not all(needed):
        return Verdict(claim, rule, NOT_RUN)
    accuracy, macro_f1 = (holds(score) for score in _SCORES)
    if accuracy is macro_f1:
        return Verdict(claim, rule, "holds" if accuracy else "does not")
    return Verdict(claim, rule, f"does not (by {'accuracy' if accuracy else 'macro-F1'} alone it would)")
