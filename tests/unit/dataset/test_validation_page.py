"""The page on validation names every rule as the code has it."""

from __future__ import annotations

import re
from pathlib import Path

from engine.dataset.validation import RULES, RULES_VERSION

PAGE = (Path(__file__).parents[3] / "docs/validation.md").read_text("utf-8")


def test_page_lists_the_rules_with_side_effect_and_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+) \| (.+?) \| .* \| .* \|$", PAGE, re.M)
    assert rows == [(rule.name, rule.side, rule.effect, rule.description) for rule in RULES]


def test_page_names_the_version() -> None:
    assert f"(now {RULES_VERSION})" in PAGE
