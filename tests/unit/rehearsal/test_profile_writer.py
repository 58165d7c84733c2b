"""The rehearsal's writer: it answers prompts for profiles, repeats and breaks at the rates that it says."""

from __future__ import annotations

from collections import Counter

import pytest

from engine.profiles.prompts import Prompts, load_prompts
from engine.profiles.reading import read_reply
from engine.profiles.regions import load_space
from engine.profiles.version import load_version
from engine.rehearsal.asked import Message
from engine.rehearsal.dice import Dice
from engine.rehearsal.profile_writer import contradiction_share, duplicate_share, write_profiles
from engine.schema.call import Reply, Usage

SPACE = load_space("en", 0, None, None)
PERSONS = [SPACE.person(number).line for number in range(1, 11)]


def prompts(*, is_json: bool = False, language: str = "en") -> Prompts:
    version = load_version("nine-aspects", language, None, None)
    return load_prompts(version, is_json=is_json, templates=None, config_dir=None)


def write(seed: int, rate: float, asking: Prompts) -> Reply:
    message = Message("user", asking.request(SPACE.region(1), PERSONS))
    written = write_profiles([message], Dice(seed), 0, rate)
    assert written is not None
    return Reply(written[0], written[1], Usage(), "m")


@pytest.mark.parametrize("is_json", [False, True])
def test_without_defects_everything_asked_for_is_there_and_different(is_json: bool) -> None:
    asking = prompts(is_json=is_json)
    texts = Counter[tuple[str, ...]]()
    for seed in range(40):
        read = read_reply(write(seed, 0.0, asking), asking.version.aspects)
        assert (len(read.profiles), read.unread, read.tolerated) == (10, (), frozenset())
        texts.update(tuple(profile.values()) for profile in read.profiles)
    assert max(texts.values()) == 1


def test_people_are_those_that_were_asked_for() -> None:
    asking = prompts()
    for profile, wanted in zip(
        read_reply(write(1, 0.0, asking), asking.version.aspects).profiles, PERSONS, strict=True
    ):
        gender, age = wanted.split(", ")
        assert ("woman" in gender) == (profile["gender"] == "Female") or "neither" in gender
        low, high = age.removesuffix(" years old").split(" to ")
        assert int(low) <= int(profile["age"]) <= int(high)


def test_defects_duplicates_and_contradictions_come_at_their_rates() -> None:
    asking, rate = prompts(), 0.3
    odd, profiles = 0, list[tuple[str, ...]]()
    for seed in range(400):
        read = read_reply(write(seed, rate, asking), asking.version.aspects)
        odd += bool(read.unread or read.tolerated)
        profiles += [tuple(profile.values()) for profile in read.profiles]
    assert odd / 400 == pytest.approx(rate, abs=0.07)
    repeated = sum(count - 1 for count in Counter(profiles).values())
    assert repeated / len(profiles) == pytest.approx(duplicate_share(rate), abs=0.02)
    contrary = sum("vegan" in profile[6] for profile in profiles)
    assert contrary / len(profiles) == pytest.approx(contradiction_share(rate), abs=0.015)


def test_other_questions_are_left_to_others() -> None:
    assert write_profiles([Message("user", "Which gift would you recommend?")], Dice(1), 0, 0.1) is None
