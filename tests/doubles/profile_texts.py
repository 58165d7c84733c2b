"""Profiles as models write them, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Mapping

from engine.profiles.reading import Read, read_reply
from engine.profiles.version import Version, load_version
from engine.schema.call import Reply, Usage

SIX: Version = load_version("six-aspects", "en", None, None)


def block(heading: str = "Profile 1", start: int = 1, **values: str) -> str:
    """One profile of six aspects in numbered lines."""
    lines = [
        f"{i}. {a.label}: {values.get(a.key, f'some {a.key}')}" for i, a in enumerate(SIX.aspects, start)
    ]
    return "\n".join([heading, *lines] if heading else lines)


def person(**values: str) -> Mapping[str, str]:
    """The same profile as it is read."""
    return {a.key: values.get(a.key, f"some {a.key}") for a in SIX.aspects}


def read(text: str, finish_reason: str = "stop") -> Read:
    """What a reply with this text holds."""
    return read_reply(Reply(text, finish_reason, Usage(), "m"), SIX.aspects)
