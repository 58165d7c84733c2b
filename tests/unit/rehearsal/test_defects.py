"""A later attempt is known by its seed alone, and mostly comes without the defect."""

from __future__ import annotations

from engine.rehearsal.asked import Asked, read_asked
from engine.rehearsal.defects import is_cured
from engine.schema.call import CallKey, call_seed
from engine.schema.conversation import STAGE


def asked(job: int, attempt: int, *, turn: int = 2, run_seed: int = 0) -> Asked:
    seed = call_seed(run_seed, CallKey(STAGE, f"travel-{job}-p-0", f"user-{turn}", attempt))
    messages = [{"role": "user", "content": "Hello!"}]
    return read_asked(
        {"model": "m", "messages": messages, "seed": seed, "prompt_cache_key": f"travel-{job}-p-0/simulator"}
    )


def test_first_attempts_are_never_cured() -> None:
    assert not any(is_cured(asked(job, 0), 2, 0) for job in range(200))


def test_later_attempts_mostly_are() -> None:
    for attempt in (1, 2, 10):
        assert 0.6 < sum(is_cured(asked(job, attempt), 2, 0) for job in range(500)) / 500 < 0.8


def test_other_turns_runs_and_seeds_are_no_later_attempts() -> None:
    assert not any(is_cured(asked(job, 1), 3, 0) for job in range(100))
    assert not any(is_cured(asked(job, 1, run_seed=5), 2, 0) for job in range(100))
    assert any(is_cured(asked(job, 1, run_seed=5), 2, 5) for job in range(20))
    unseeded = read_asked({"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
    assert not is_cured(unseeded, 2, 0)
