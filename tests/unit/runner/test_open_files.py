"""As many connections as the process may open files, and as many files as the system allows."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from engine.runner.open_files import MOST_CONNECTIONS, most_connections, raise_file_limit

NOFILE = resource.RLIMIT_NOFILE


@pytest.fixture(autouse=True)
def restored_limit() -> Iterator[None]:
    limits = resource.getrlimit(NOFILE)
    yield
    resource.setrlimit(NOFILE, limits)


def test_a_low_limit_is_raised_to_what_the_system_allows() -> None:
    _, hard = resource.getrlimit(NOFILE)
    resource.setrlimit(NOFILE, (512, hard))
    raise_file_limit()
    assert resource.getrlimit(NOFILE)[0] == min(hard, 1_048_576) or hard == resource.RLIM_INFINITY


def test_a_number_that_the_system_refuses_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def refuse_large(kind: int, limits: tuple[int, int]) -> None:
        asked.append(limits[0])
        if limits[0] > 10_240:
            raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse_large)
    raise_file_limit()
    assert asked == [1_048_576, 65_536, 10_240]


@pytest.mark.parametrize(
    ("soft", "endpoints", "most"),
    [
        (1_024, 1, 960),
        (1_024, 0, 480),
        (1_024, 4, 240),
        (32, 1, 1),
        (resource.RLIM_INFINITY, 1, MOST_CONNECTIONS),
    ],
)
def test_connections_fit_into_the_limit(
    monkeypatch: pytest.MonkeyPatch, soft: int, endpoints: int, most: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, soft))
    assert most_connections(endpoints) == most
