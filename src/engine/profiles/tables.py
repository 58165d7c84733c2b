"""The findings of a check as tables: worst first, with what was meant by each."""

from __future__ import annotations

from collections.abc import Iterator

from engine.analysis.sections import Section, number, section
from engine.profiles.check import PoolCheck

_ROWS = 10
_STRONG, _SURE = 0.3, 0.001


def findings_of(check: PoolCheck) -> Iterator[Section]:
    """One table for each kind of finding that there is."""
    if check.faults.count:
        rows = [(str(each.line), each.what) for each in check.faults.first[:_ROWS]]
        yield section(f"Lines that hold no profile: {check.faults.count}", ("line", "what is wrong"), rows)
    if check.duplicates.count:
        rows = [(name, first) for name, first in check.duplicates.first[:_ROWS]]
        yield section(f"Duplicates: {check.duplicates.count}", ("profile", "says the same as"), rows)
    if check.near.count:
        nearest = sorted(check.near.first, key=lambda each: -each[1].similarity)[:_ROWS]
        cells = [(name, match.name, number(match.similarity, 2)) for name, match in nearest]
        title = f"Near duplicates: {check.near.count}"
        yield section(title, ("profile", "is like", "shared words"), cells, "Jaccard similarity, 0 to 1")
    if check.contradictions.count:
        told = [(name, each.rule, each.says, each.also) for name, each in check.contradictions.first[:_ROWS]]
        title = f"Contradictions to look at: {check.contradictions.count}"
        yield section(title, ("profile", "rule", "says", "and"), told)


def coverage_of(check: PoolCheck) -> Section:
    """One row per aspect."""
    rows = [
        (
            row.aspect, str(row.distinct), f"{row.mean_words:.1f}", str(row.vocabulary),
            f"{sum(1 for count in row.categories.values() if count)} of {len(row.categories)}",
            number(row.entropy, 2), number(row.evenness, 2), str(row.uncoded),
        )
        for row in check.tally.coverage()
    ]  # fmt: skip
    columns = ("aspect", "distinct", "words", "vocabulary", "categories", "entropy", "evenness", "uncoded")
    note = "Entropy in bits over categories told by words; evenness is its share of the highest possible."
    return section("Coverage", columns, rows, note)


def associations_of(check: PoolCheck) -> Section:
    """The strongest associations of demographic aspects, and how many are both strong and no accident."""
    found = check.tally.associations()
    # Bonferroni: so many tables were looked at.
    sure = [each for each in found if each.v >= _STRONG and each.p * len(found) < _SURE]
    rows = [
        (
            f"{each.demographic} x {each.aspect}: {each.category}", number(each.v, 2),
            "<1e-12" if each.p < 1e-12 else f"{each.p:.1e}",
            max(each.shares, key=lambda name: each.shares[name], default="-"),
        )
        for each in found[:_ROWS]
    ]  # fmt: skip
    note = f"Cramér's V, corrected for bias. Strong (V >= {_STRONG}) and sure: {len(sure)} of {len(found)}."
    return section("Associations", ("pair", "V", "p", "most often with"), rows, note)


def target_of(check: PoolCheck) -> Section:
    """Wished-for shares beside the pool's."""
    rows = [
        (f"{row.aspect}: {row.category}", number(row.wanted, 3), number(row.share, 3), str(row.count))
        for row in check.targets
    ]
    return section("Target", ("category", "wanted", "share", "profiles"), rows)


def reference_of(check: PoolCheck) -> Section:
    """The pool beside the reference, aspect by aspect."""
    rows = [
        (
            row.aspect, number(row.evenness, 2), number(row.reference_evenness, 2), f"{row.mean_words:.1f}",
            f"{row.reference_mean_words:.1f}", number(row.distance, 2),
        )
        for row in check.references
    ]  # fmt: skip
    columns = ("aspect", "evenness", "reference", "words", "reference", "distance")
    note = (
        "Distance: total variation of the categories' shares, 0 (equal) to 1. Profiles that repeat one of "
        f"the reference, exactly or nearly: {check.like_reference.count}."
    )
    return section("Beside the reference", columns, rows, note)
