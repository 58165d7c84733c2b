"""Preferences as the rehearsal's judge words them: each concept in several ways, so that synonyms exist."""

from __future__ import annotations

CONCEPTS: tuple[tuple[str, ...], ...] = (
    ("quiet local restaurants", "small eateries away from crowds", "calm places to eat"),
    ("trains rather than flights", "travel by rail", "going by train"),
    ("a modest budget", "low prices", "good value for money"),
    ("hands-on workshops", "learning by doing", "practical exercises"),
    ("early mornings", "starting the day early", "plans for the early hours"),
    ("vegetarian dishes", "meals without meat", "meat-free food"),
    ("art and museums", "galleries and exhibitions", "visits to museums"),
    ("hiking in nature", "walks in the mountains", "time on trails"),
    ("handmade things", "crafted items", "objects made by hand"),
    ("clear step-by-step plans", "a plan in small steps", "structured instructions"),
    ("flexible schedules", "room for changes", "plans that can change"),
    ("time with the family", "family-friendly activities", "things to do with children"),
    ("spicy food", "hot dishes", "plenty of chilli"),
    ("reusable materials", "little waste", "sustainable choices"),
    ("short sessions", "half an hour at a time", "brief daily practice"),
)
_BY_PHRASE = {phrase: number for number, concept in enumerate(CONCEPTS) for phrase in concept}


def concept_of(phrase: str) -> int | None:
    """The number of the concept that a phrase words; None for a phrase of somebody else's."""
    return _BY_PHRASE.get(phrase)
