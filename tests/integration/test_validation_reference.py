"""The rules against the reference: hand labels, its own defect flags, and its Chinese translation.

Precision and recall count conversations, per rule, with Wilson 95 % intervals. The columns `weighted`
give each labelled conversation the weight (size of its stratum) / (labelled in that stratum), which
makes up for drawing more where defects were likely. `validation_labels.json` says which half the
rules were tuned on, and keeps the held-out counts of version 1.
"""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.dataset.rules import Finding
from engine.dataset.tables import ShapeTally
from engine.dataset.validation import RULES, keep, validate
from engine.schema.conversation import EndReason, Role, Turn

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT.parent / "shared" / "reference"
LABELS = ROOT / "tests" / "data" / "validation_labels.json"

pytestmark = pytest.mark.skipif(
    not (REFERENCE / "recllmsim-conversations.jsonl.gz").exists(),
    reason="the reference data is not here (../shared/reference beside the repository)",
)

# A label's name -> the rules that look for it, where the names differ.
LOOKED_FOR_BY = {"repeated_turn": {"repeated_turn", "near_repeat"}}


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    with gzip.open(REFERENCE / "recllmsim-conversations.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def english(records: list[dict[str, Any]]) -> dict[str, tuple[Finding, ...]]:
    return {r["id"]: judge(r, "content", "en") for r in records}


@pytest.fixture(scope="module")
def chinese(records: list[dict[str, Any]]) -> dict[str, tuple[Finding, ...]]:
    return {r["id"]: judge(r, "content_zh", "zh") for r in records}


def judge(record: Mapping[str, Any], field: str, language: str) -> tuple[Finding, ...]:
    turns = [Turn(Role(m["role"]), m[field]) for m in record["history"]]
    return validate(turns, end_reason=EndReason.GOODBYE, language=language, end_prompt="")


def having(rule: str, found: Mapping[str, Sequence[Finding]]) -> set[str]:
    names = LOOKED_FOR_BY.get(rule, {rule})
    return {i for i, findings in found.items() if any(f.rule in names for f in findings)}


def wilson(hits: float, n: float, z: float = 1.96) -> tuple[float, float]:
    if n == 0:
        return 0.0, 1.0
    share, scale = hits / n, 1 + z * z / n
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(max(0.0, share * (1 - share) / n) + z * z / (4 * n * n))
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


class Agreement:
    """One rule's hits against the labels: sets of conversation ids, and each id's weight."""

    def __init__(self, found: set[str], labelled: set[str], weights: Mapping[str, float]) -> None:
        self.found, self.labelled, self.weights = found, labelled, weights
        self.both = found & labelled

    def cells(self) -> Iterator[str]:
        for side in (self.found, self.labelled):
            low, high = wilson(len(self.both), len(side))
            share = f"{len(self.both) / len(side):.2f}" if side else "  - "
            weight = sum(self.weights[i] for i in side)
            weighted = f"{sum(self.weights[i] for i in self.both) / weight:.2f}" if weight else "  - "
            yield f"{len(self.both):>3}/{len(side):<3} {share} [{low:.2f}, {high:.2f}] weighted {weighted}"


def agreements(
    labels: Mapping[str, Any], halves: str, found: Mapping[str, Sequence[Finding]]
) -> dict[str, Agreement]:
    chosen = {i: row for i, row in labels["labels"].items() if row["half"] in halves}
    drawn = Counter(row["stratum"] for row in chosen.values())
    weights = {i: labels["strata"][row["stratum"]] / drawn[row["stratum"]] for i, row in chosen.items()}
    seen = {i: found[i] for i in chosen}
    names = sorted({name for row in chosen.values() for name in row["defects"]} | {r.name for r in RULES})
    table = {
        name: Agreement(
            having(name, seen), {i for i, row in chosen.items() if name in row["defects"]}, weights
        )
        for name in names
        if name != "near_repeat"
    }
    dropping = {rule.name for rule in RULES if rule.effect == "drop"}
    table["(dropped)"] = Agreement(
        {i for i in chosen if not keep(seen[i], EndReason.GOODBYE)},
        {i for i, row in chosen.items() if dropping & set(row["defects"])},
        weights,
    )
    return table


def test_rules_agree_with_the_hand_labels(english: dict[str, tuple[Finding, ...]]) -> None:
    labels = json.loads(LABELS.read_text(encoding="utf-8"))
    for halves in ("A", "B", "C", "ABC"):
        print(f"\nlabelled {halves}: precision, then recall")
        table = agreements(labels, halves, english)
        for name, row in table.items():
            if row.found or row.labelled:
                print(f"  {name:22} {'   '.join(row.cells())}")

    # Floors on all labels together: the lower ends of what was measured, not the figures themselves.
    assert all(len(row.both) >= 0.95 * len(row.found) for row in table.values())
    for name in ("imitated_system_note", "ai_disclaimer", "role_flip", "repeated_turn", "(dropped)"):
        assert len(table[name].both) >= 0.85 * len(table[name].labelled), name
    assert len(table["courtesy_loop"].both) >= 0.7 * len(table["courtesy_loop"].labelled)


def test_held_out_counts_are_those_of_the_third_half() -> None:
    labels = json.loads(LABELS.read_text(encoding="utf-8"))
    third = [row["defects"] for row in labels["labels"].values() if row["half"] == "C"]
    assert len(third) == labels["held_out"]["labelled"]
    for name, (both, _, missed) in labels["held_out"]["counts"].items():
        assert sum(name in defects for defects in third) == both + missed, name


def test_rules_agree_with_the_reference_flags(english: dict[str, tuple[Finding, ...]]) -> None:
    flags = json.loads((REFERENCE / "quality-flags-dev.json").read_text(encoding="utf-8"))["flags"]

    def flagged(flag: str) -> set[str]:
        return {i for i, names in flags.items() if flag in names}

    def hits(rule: str) -> set[str]:
        return {i for i, findings in english.items() if any(f.rule == rule for f in findings)}

    for flag, rule in (
        ("system_tag_in_user_turn", "imitated_system_note"),
        ("exact_repeat", "repeated_turn"),
        ("mentions_LLM_user", "mentions_llm_user"),
        ("truncated", "ends_mid_sentence"),
        ("too_short", "too_short"),
    ):
        assert hits(rule) == flagged(flag), flag
    # Wider than the reference's pattern: what it cannot do counts as well as what it is.
    assert flagged("ai_self_reference_assistant") <= hits("ai_disclaimer")
    # One is a user's "feel free to let me know", which is no change of role.
    assert len(flagged("role_flip_untagged") - hits("role_flip")) == 1
    # One stands inside an imitated note, and is found as that.
    missed = flagged("ai_self_reference_user") - hits("ai_self_reference")
    assert len(missed) == 1
    assert missed <= hits("imitated_system_note")


def test_share_dropped_is_near_what_the_authors_removed(
    english: dict[str, tuple[Finding, ...]],
) -> None:
    dropped = sum(not keep(findings, EndReason.GOODBYE) for findings in english.values())
    print(f"\ndropped {dropped} of {len(english)} = {dropped / len(english):.1%}")
    assert 0.09 <= dropped / len(english) <= 0.13


def test_chinese_rules_find_what_english_ones_find(
    english: dict[str, tuple[Finding, ...]], chinese: dict[str, tuple[Finding, ...]]
) -> None:
    """The translation lost most note labels and rewords much, so agreement is a floor, not a rate."""
    for rule, floor in (
        ("ai_disclaimer", 0.9),
        ("courtesy_loop", 0.85),
        ("mentions_set_up", 0.5),
        ("plays_user", 0.6),
        ("ai_self_reference", 0.8),
        ("role_flip", 0.4),
    ):
        both = having(rule, english) & having(rule, chinese)
        assert len(both) >= floor * len(having(rule, english)), rule
    # An assistant that answers a beginner, who wrote in English, in French alone; both go on in French.
    assert having("wrong_language", english) == {"skills-0303"}
    assert not having("wrong_language", chinese)
    assert len(having("ends_mid_sentence", chinese)) <= 3


def test_languages_are_told_apart(records: list[dict[str, Any]]) -> None:
    some = records[::25]
    assert all(any(f.rule == "wrong_language" for f in judge(r, "content", "zh")) for r in some)
    assert all(any(f.rule == "wrong_language" for f in judge(r, "content_zh", "en")) for r in some)


def test_table_one_is_reproduced_to_the_printed_digits(records: list[dict[str, Any]]) -> None:
    figures = json.loads((REFERENCE / "reference-figures.json").read_text(encoding="utf-8"))
    tally = ShapeTally()
    for record in records:
        turns = [(Role(m["role"]), m["content"]) for m in record["history"]]
        tally.add(turns, (record["task"], record["task_context_id"]))
    for part, left_out in (("all", ()), ("without_new_travel_planning", ("new travel planning",))):
        expected = figures["developers_part"][part]
        row = tally.row(without_tasks=left_out)
        assert (row.conversations, row.scenarios) == (expected["conversations"], expected["scenarios"])
        for got, want in (
            (row.mean_utterances, expected["avg_utterances"]),
            (row.mean_tokens, expected["avg_tokens"]),
            (row.mean_user_tokens, expected["avg_user_utt_tokens"]),
            (row.mean_assistant_tokens, expected["avg_assistant_utt_tokens"]),
        ):
            assert got == pytest.approx(want, abs=0.5 * 10 ** -len(str(want).partition(".")[2]))
