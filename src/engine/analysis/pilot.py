"""What a pilot's conversations say of their scenarios: the paper's criteria, measured.

A scenario whose conversations end after a single round gives a simulator nothing to talk about; the paper's
limit is 5 % of them. An aspect of the profile is drawn on where the
user has revealed a part of its text (see `facts`); the same count with another profile, the one that came
before it, says how often its words come up by chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from engine.analysis.facts import facts_of
from engine.analysis.words import content_units, units
from engine.schema.conversation import EndReason, Role
from engine.schema.dataset import Conversation, ProfileText

MOST_ONE_ROUND = 0.05
# They were cut off by something that is no matter of the scenario.
_NOT_ENDED = frozenset({EndReason.FAILED.value, EndReason.REFUSED.value, EndReason.CONTEXT_FULL.value})


@dataclass(slots=True)
class PilotCounts:
    """Conversations that came to an end of their own, and those of them that did after one round.

    `rounds`, `user_turns` and `user_units` (words, or Chinese characters) are sums over them.
    """

    ended: int = 0
    one_round: int = 0
    rounds: int = 0
    user_turns: int = 0
    user_units: int = 0

    def add(self, conversation: Conversation) -> None:
        """Count one conversation that has ended."""
        self.ended += 1
        self.one_round += conversation.rounds <= 1
        self.rounds += conversation.rounds
        for turn in conversation.turns:
            if turn.role is Role.USER:
                self.user_turns += 1
                self.user_units += len(units(turn.content))

    @property
    def share(self) -> float:
        """Share that ended after one round or less, 0 to 1."""
        return self.one_round / self.ended if self.ended else 0.0

    @property
    def is_flagged(self) -> bool:
        """Whether that is more than the paper allows."""
        return self.share > MOST_ONE_ROUND


@dataclass(slots=True)
class PilotTally:
    """Counts conversations one at a time; memory is that of the scenarios and of two profiles.

    `by_task` has task names, `by_scenario` task names with numbers, `by_level` axes with levels. `drawn` and
    `by_chance`: conversations in which the user has revealed something of an aspect, and in which words of
    another profile's came up.
    """

    by_task: dict[str, PilotCounts] = field(default_factory=dict)
    by_scenario: dict[tuple[str, int], PilotCounts] = field(default_factory=dict)
    by_level: dict[tuple[str, str], PilotCounts] = field(default_factory=dict)
    looked_at: int = 0
    compared: int = 0
    drawn: Counter[str] = field(default_factory=Counter)
    by_chance: Counter[str] = field(default_factory=Counter)
    _profile: ProfileText | None = None
    _other: ProfileText | None = None

    def add(self, conversation: Conversation) -> None:
        """Count one conversation; its own validation's verdict does not matter here."""
        if conversation.end_reason in _NOT_ENDED:
            return
        keys = (conversation.task, conversation.scenario.number)
        for counts in (
            self.by_task.setdefault(keys[0], PilotCounts()),
            *([] if keys[1] is None else [self.by_scenario.setdefault((keys[0], keys[1]), PilotCounts())]),
        ):
            counts.add(conversation)
        behaviour = conversation.extra.get("behaviour")
        for axis, level in behaviour.items() if isinstance(behaviour, dict) else ():
            self.by_level.setdefault((str(axis), str(level)), PilotCounts()).add(conversation)
        self._look_at_aspects(conversation)

    def _look_at_aspects(self, conversation: Conversation) -> None:
        profile = conversation.profile
        if not profile.fields:
            return
        said = _said_by_user(conversation)
        self.looked_at += 1
        self.drawn.update(_revealed(profile, said))
        if self._profile is None or self._profile.profile_id != profile.profile_id:
            self._profile, self._other = profile, self._profile
        if self._other is not None:
            self.compared += 1
            self.by_chance.update(_revealed(self._other, said))


def _said_by_user(conversation: Conversation) -> frozenset[str]:
    """Content words of the user's turns, without those that the scenario itself has put there."""
    turns = "\n".join(turn.content for turn in conversation.turns if turn.role is Role.USER)
    return content_units(turns) - content_units(conversation.scenario.text)


def _revealed(profile: ProfileText, said: frozenset[str]) -> Iterator[str]:
    """The aspects of which a part is told: half of its content words."""
    for aspect, text in profile.fields.items():
        facts = facts_of(replace(profile, fields={aspect: text}))
        if any(len(fact & said) * 2 >= len(fact) for fact in facts):
            yield aspect
