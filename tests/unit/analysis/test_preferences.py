"""Figure 5's counts: phrases by task, merged with the aspect of the profile that belongs to it."""

from __future__ import annotations

from tests.unit.analysis.made_up import conversation

from engine.analysis.intent_flow import END, LAST_TURN, IntentFlow
from engine.analysis.preferences import Preferences
from engine.schema.annotation import Annotation, Kind, Target
from engine.schema.dataset import Conversation


def summarised(
    phrases: list[str], task: str = "travel planning", habits: list[str] | None = None
) -> Conversation:
    added = [Annotation(Kind.PREFERENCE_SUMMARY, Target("c"), phrases)]
    if habits is not None:
        mapped = {"travel_habits": [{"en": label, "zh": "x"} for label in habits]}
        added.append(Annotation(Kind.PROFILE_MAPPED, Target("c"), mapped))
    return conversation("u", "a", task=task).with_annotations(tuple(added))


def test_phrases_are_counted_once_a_conversation_and_merged_with_the_profile() -> None:
    found = Preferences()
    found.add(
        summarised(["Luxury Hotels", "luxury hotels."], habits=["Luxury hotels", "Day trips", "Others"])
    )
    found.add(summarised(["day trips"]))
    assert found.most_common("travel planning", 9) == [("day trips", 2), ("luxury hotels", 1)]
    assert found.from_profiles["travel planning"] == {"day trips": 1}


def test_profiles_count_only_with_the_task_that_they_are_about() -> None:
    found = Preferences()
    found.add(summarised(["cheap"], task="preparing gifts", habits=["Day trips"]))
    assert found.by_task == {"preparing gifts": {"cheap": 1}}


def test_an_annotation_that_names_origins_is_counted_as_it_was_merged() -> None:
    each = conversation("u", "a").with_annotations(
        (
            Annotation(
                Kind.PREFERENCE_SUMMARY,
                Target("c"),
                ["cheap rooms", "day trips"],
                author="judge:j",
                details={
                    "origins": ["conversation", "profile:travel_habits"],
                    "merged": ["low cost", "day trips"],
                },
            ),
            Annotation(Kind.PROFILE_MAPPED, Target("c"), {"travel_habits": [{"en": "Solo travel"}]}),
        )
    )
    found = Preferences("judge:j")
    found.add(each)
    assert found.by_task["travel planning"] == {"low cost": 1, "day trips": 1}
    assert found.from_profiles["travel planning"] == {"day trips": 1}


def test_a_conversation_without_a_summary_counts_nothing() -> None:
    found = Preferences()
    found.add(conversation("u", "a"))
    assert found.by_task == {}


def test_intents_by_turn_and_what_follows() -> None:
    flow = IntentFlow()
    flow.add(conversation("u", "a", "u", "a", "u", "a", intents=["Planning", ["Search", "Others"], "Search"]))
    assert flow.by_turn[2] == {"Search": 1, "Others": 1}
    assert flow.transitions == {
        "Planning": {"Search": 1, "Others": 1},
        "Search": {"Search": 1, END: 1},
        "Others": {"Search": 1},
    }


def test_late_turns_are_counted_together() -> None:
    flow = IntentFlow()
    flow.add(conversation(*["u", "a"] * 12, intents=["Search"] * 12))
    assert flow.by_turn[LAST_TURN] == {"Search": 12 - LAST_TURN + 1}
