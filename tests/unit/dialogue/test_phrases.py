from __future__ import annotations

from engine.dataset import rules_simulator
from engine.dialogue import phrases
from engine.dialogue.phrases import Phrase, compiled


def test_every_phrase_is_an_anchor_and_patterns_that_compile() -> None:
    groups = [v for m in (phrases, rules_simulator) for v in vars(m).values() if isinstance(v, tuple)]
    known = [phrase for group in groups for phrase in group if isinstance(phrase, Phrase)]
    assert len(known) > 80
    for phrase in known:
        assert phrase.anchor
        compiled(phrase.pattern)
        compiled(phrase.unless or "")
