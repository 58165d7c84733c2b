"""Two pretrained models are never one row of the table, whatever their folders are called."""

from __future__ import annotations

from engine.experiments.plm import PAPER_MODELS, named_sources


def test_a_model_is_named_by_the_last_part_of_its_source() -> None:
    given = ("weights/roberta-base", "google-bert/bert-base-uncased", "./weights/roberta-base/")
    assert named_sources(given, {}) == {
        "roberta-base": "weights/roberta-base",
        "bert-base-uncased": "google-bert/bert-base-uncased",
    }


def test_a_second_model_of_a_name_is_named_by_all_of_its_source() -> None:
    assert named_sources(("a/gpt2", "b/gpt2"), {}) == {"gpt2": "a/gpt2", "b/gpt2": "b/gpt2"}
    named = named_sources(("mine/BERT-base",), PAPER_MODELS)
    assert named == {**PAPER_MODELS, "mine/BERT-base": "mine/BERT-base"}


def test_a_models_own_folder_has_a_name() -> None:
    (name,) = named_sources((".",), {})
    assert name not in ("", ".")
