from __future__ import annotations

from dataclasses import replace

from engine.analysis.pilot import PilotTally
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation, ConversationTurn, Origin, ProfileText, ScenarioText

COOK = ProfileText(profile_id="a", fields={"occupation": "Harbour crane operator", "age": "34"})
PILOT = ProfileText(profile_id="b", fields={"occupation": "Airline captain", "age": "50"})


def talk(
    rounds: int, *, number: int = 0, end: str = "goodbye", profile: ProfileText = COOK, says: str = "I see."
) -> Conversation:
    pair = (
        ConversationTurn(role=Role.USER, content=says),
        ConversationTurn(role=Role.ASSISTANT, content="Yes."),
    )
    return Conversation(
        conversation_id="x", turns=pair * rounds, origin=Origin(format="test"), task="travel planning",
        scenario=ScenarioText(number=number, text="You go away."), profile=profile, end_reason=end,
    )  # fmt: skip


def tally_of(*talks: Conversation) -> PilotTally:
    tally = PilotTally()
    for each in talks:
        tally.add(each)
    return tally


def test_more_than_one_in_twenty_after_one_round_is_flagged() -> None:
    just = tally_of(talk(1), *[talk(3)] * 19)
    over = tally_of(talk(1), *[talk(3)] * 18)
    assert just.by_task["travel planning"].share == 0.05
    assert not just.by_task["travel planning"].is_flagged
    assert over.by_task["travel planning"].is_flagged


def test_scenarios_are_counted_by_themselves_and_one_without_a_reply_counts() -> None:
    found = tally_of(talk(0, number=1), talk(1, number=1), talk(2, number=2))
    assert {key[1]: (each.ended, each.one_round) for key, each in found.by_scenario.items()} == {
        1: (2, 2),
        2: (1, 0),
    }
    assert found.by_task["travel planning"].one_round == 2


def test_levels_of_behaviour_are_counted_by_themselves() -> None:
    terse, wordy = ({"behaviour": {"verbosity": level}} for level in ("brief", "talkative"))
    found = tally_of(
        replace(talk(1, says="Yes."), extra=terse),
        replace(talk(3, says="I would like that."), extra=wordy),
        talk(9),
    )
    brief, talkative = found.by_level["verbosity", "brief"], found.by_level["verbosity", "talkative"]
    assert (brief.ended, brief.one_round, brief.rounds, brief.user_units / brief.user_turns) == (1, 1, 1, 1)
    assert (talkative.ended, talkative.rounds, talkative.user_units / talkative.user_turns) == (1, 3, 4)
    assert found.by_task["travel planning"].rounds == 13


def test_conversations_cut_off_by_something_else_say_nothing_of_the_scenario() -> None:
    found = tally_of(talk(1, end="failed"), talk(1, end="refused"), talk(1, end="context_full"))
    assert found.by_task == {}


def test_aspects_are_revealed_in_words_beyond_the_scenarios_and_compared_with_another_profile() -> None:
    found = tally_of(
        talk(2, says="I work on a harbour crane."),
        talk(2, says="Nothing of me."),
        talk(2, profile=PILOT, says="I am an airline captain."),
        talk(2, profile=PILOT, says="I know a harbour crane."),
    )
    assert (found.looked_at, found.compared) == (4, 2)
    assert found.drawn == {"occupation": 2}
    assert found.by_chance == {"occupation": 1}
