"""A profile says who the user is: nine aspects, as in the paper (section 3.2).

The aspects' order and their printed labels are data, so that the nine-line text shown to the user
simulator, the pool's files and the dataset's records all agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Aspect(NamedTuple):
    """One aspect of a profile: its key in files and records, and its printed label per language."""

    key: str
    label_en: str
    label_zh: str

    def label(self, language: str) -> str:
        return self.label_zh if language == "zh" else self.label_en


ASPECTS: tuple[Aspect, ...] = (
    Aspect("gender", "Gender", "性别"),
    Aspect("age", "Age", "年龄"),
    Aspect("personality", "Personality", "性格"),
    Aspect("occupation", "Occupation", "职业"),
    Aspect("daily_interests_and_hobbies", "Daily Interests and Hobbies", "日常兴趣爱好"),
    Aspect("travel_habits", "Travel Habits", "旅行习惯"),
    Aspect("dining_preferences", "Dining Preferences", "饮食偏好"),
    Aspect("spending_habits", "Spending Habits", "消费习惯"),
    Aspect("other_aspects", "Other Aspects", "其他方面"),
)


@dataclass(frozen=True, slots=True)
class Profile:
    """Who the user is.

    `aspects` maps each aspect's key to its text, in the order of `ASPECTS`. `text` overrides the
    rendered nine lines where a profile was read from such a text, so that it stays as it came.
    `provenance` names the model and the prompt's digest, or says that a person wrote it.
    """

    profile_id: str
    aspects: Mapping[str, str]
    text: str | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)

    def render(self, language: str = "en") -> str:
        """The numbered lines shown to the simulator, e.g. `1. Gender: Female`."""
        if self.text is not None:
            return self.text
        return "\n".join(
            f"{i}. {aspect.label(language)}: {self.aspects[aspect.key]}"
            for i, aspect in enumerate(ASPECTS, 1)
        )
