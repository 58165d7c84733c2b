"""Prompt files hold what they must, and utterances cannot break out of their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.experiments.plm_prompt import Family, read_prompt
from engine.schema.annotation import PAPER_INTENTS


@pytest.mark.parametrize("family", Family)
def test_our_prompts_have_a_word_for_each_intent_and_each_another(family: Family) -> None:
    prompt = read_prompt(family)
    words = [prompt.word(label) for label in PAPER_INTENTS.labels]
    assert len(set(words)) == 5
    assert prompt.word("Chit-chat") == "chit-chat"
    before, after = prompt.around_answer("Hello.", [("Find it.", "Search")])
    assert before.count("Hello.") == 1
    assert (
        before.index("Find it.") < before.index("search", before.index("Find it.")) < before.index("Hello.")
    )
    assert "{" not in before + after
    assert not before.endswith(" ")
    assert (after == "") is (family is not Family.MASKED)


def test_braces_in_an_utterance_mean_nothing() -> None:
    before, after = read_prompt(Family.MASKED).around_answer("{answer} {examples} {text}")
    assert before.startswith('"{answer} {examples} {text}" In one word')
    assert after == "."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("answer: [", "not YAML"),
        ("answer: guess", "answer: Input should be"),
        (
            "{answer: score, template: '{text}', example: '{text} {answer}', label_words: {}}",
            "must hold {answer}",
        ),
        (
            "{answer: score, template: '{examples}{text}{answer}{answer}', example: '', label_words: {}}",
            "each once",
        ),
    ],
)
def test_an_unusable_prompt_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "masked.yaml").write_text(text, "utf-8")
    with pytest.raises(BadInput, match=message):
        read_prompt(Family.MASKED, tmp_path)


def test_an_absent_prompt_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"causal\.yaml: cannot be read"):
        read_prompt(Family.CAUSAL, tmp_path)
