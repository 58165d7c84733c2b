"""The annotators by name, and what of a configuration each of them asks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import orjson

from engine.annotation.annotator import Annotator, Judge
from engine.annotation.goal import GoalJudge
from engine.annotation.judgements import CONSISTENCY, HALLUCINATION, INTENT, RATINGS, SATISFACTION
from engine.annotation.preferences import PreferenceJudge
from engine.annotation.profile_judges import ProfileJudge
from engine.annotation.translation import Translator
from engine.config.model_settings import ModelSettings, StageName
from engine.config.settings import RunConfig
from engine.errors import ConfigError
from engine.schema.annotation import Kind

_PREFERENCES: Annotator = PreferenceJudge()
_TRANSLATION: Annotator = Translator()
_GOAL: Annotator = GoalJudge()
_PROFILE: Annotator = ProfileJudge("profile", Kind.PROFILE_MAPPED)
_RECOVERY: Annotator = ProfileJudge("recovery", Kind.PROFILE_RECOVERED)
ANNOTATORS: Mapping[str, Annotator] = {
    each.name: each
    for each in (
        INTENT, HALLUCINATION, RATINGS, _PREFERENCES, _TRANSLATION, SATISFACTION, CONSISTENCY, _GOAL,
        _PROFILE, _RECOVERY,
    )
}  # fmt: skip
REHEARSAL_JUDGE = "rehearsal-judge"
_JUDGE_TOKENS = 2048


def configured(name: str, options: Mapping[str, object]) -> Annotator:
    """The annotator of this name with its options: `merge_aspects` or `vocabulary`, where it has them."""
    annotator = ANNOTATORS[name]
    aspects, vocabulary = options.get("merge_aspects"), options.get("vocabulary")
    if isinstance(annotator, PreferenceJudge) and isinstance(aspects, Mapping):
        return replace(annotator, merge_aspects=aspects)
    if isinstance(annotator, ProfileJudge) and isinstance(vocabulary, str):
        return replace(annotator, vocabulary=orjson.loads(vocabulary))
    return annotator


def judge_of(config: RunConfig, role: StageName) -> Judge:
    """Whom an annotator asks: the stage of its own role, else the judge, else one of the engine's own.

    Raises ConfigError where endpoints are configured and no model is.
    """
    settings = config.stages.get(role) or config.stages.get("judge")
    if settings is None:
        if config.endpoints:
            raise ConfigError(
                f"the configuration names no model for {role}: set stages.judge.model, or "
                f"stages.{role}.model, or name presets with --judge."
            )
        settings = own_judge(config)
    return Judge(judge_name(settings.model), settings)


def own_judge(config: RunConfig, model: str = REHEARSAL_JUDGE) -> ModelSettings:
    """The judge that the embedded endpoint plays, or the local model."""
    if config.local is not None:
        model = config.stages["simulator"].model if "simulator" in config.stages else "local"
        return ModelSettings(
            model=model, temperature=0.0, max_tokens=512, context_tokens=config.local.context_tokens
        )
    return ModelSettings(model=model, temperature=0.0, max_tokens=_JUDGE_TOKENS, structured="json_schema")


def judge_name(model: str) -> str:
    """A model's name as a judge's: its last part, without what would not fit a name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", model.rpartition("/")[2]).strip("-.")[:60] or "judge"
