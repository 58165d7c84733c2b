"""Validation: which generated conversations are kept, and what is said about each turn's defects.

A conversation is kept if it ended as conversations do and no finding drops it. Dropped ones stay in
the raw data with their reasons; nothing is ever edited, since a shortened conversation would be one
that nobody held. The verdict is a function of the conversation alone, so that it can be redone at
any time: `RULES_VERSION` names the rules that were applied, and changes with any verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.dataset.rules import Finding, Rule, Side, read
from engine.dataset.rules_assistant import ASSISTANT_RULES
from engine.dataset.rules_form import FORM_RULES
from engine.dataset.rules_language import LANGUAGE_RULES
from engine.dataset.rules_simulator import SIMULATOR_RULES
from engine.schema.conversation import EndReason, Role, Turn

RULES_VERSION = "4"
RULES: tuple[Rule, ...] = (*SIMULATOR_RULES, *ASSISTANT_RULES, *FORM_RULES, *LANGUAGE_RULES)
ENDED_WELL = frozenset({EndReason.GOODBYE, EndReason.MAX_ROUNDS, EndReason.CONTEXT_FULL})


def validate(
    turns: Sequence[Turn], *, end_reason: EndReason, language: str, end_prompt: str
) -> tuple[Finding, ...]:
    """All findings, in the order of `RULES` and then of turns.

    Pure, and linear in the text. `language` is `en` or `zh`; with any other, the language is not judged.
    An empty or very short `end_prompt` leaves parroting to the dialogue's mark.
    """
    reading = read(turns, end_reason=end_reason, language=language, end_prompt=end_prompt)
    return tuple(
        Finding(rule.name, rule.effect, _side(rule, turns, index), index, detail)
        for rule in RULES
        for index, detail in rule.find(reading)
    )


def keep(findings: Iterable[Finding], end_reason: EndReason, *, drop: bool = True) -> bool:
    """Whether the conversation is kept. `drop=False` takes findings as notes only (paper mode).

    A conversation that failed or was refused is no conversation, and is kept in neither mode.
    """
    return not drop_reasons(findings if drop else (), end_reason)


def drop_reasons(findings: Iterable[Finding], end_reason: EndReason) -> tuple[str, ...]:
    """Why the conversation is dropped: the end reason first, then rules, each once; empty if kept."""
    ended = () if end_reason in ENDED_WELL else (end_reason.value,)
    rules = dict.fromkeys(finding.rule for finding in findings if finding.effect == "drop")
    return (*ended, *rules)


def _side(rule: Rule, turns: Sequence[Turn], index: int | None) -> Side:
    if rule.side != "either":
        return rule.side
    return "simulator" if index is not None and turns[index].role is Role.USER else "assistant"
