"""Thousands of small whole runs in virtual time, each with its own faults, kills, stops and resumes (P1-P8).

A seed decides everything. The one that failed is named; to see it again:

    SIMULATION_SEED=N pytest tests/chaos/test_simulation.py -k one_seed
"""

from __future__ import annotations

import asyncio
import os
import re
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import orjson
import pytest
from tests.doubles.simulated_world import FAULTS, KEY, InlineWriter, SimulatedRun, Weather, World

from engine.config.settings import RunConfig
from engine.journal.inputs import RunInputs
from engine.journal.reader import Reader
from engine.journal.writer import Row
from engine.llm.history import History
from engine.runner import conversation
from engine.runner.prepare import prepare
from engine.runner.run_folder import RunFolder
from engine.schema.call import CUT_OFF, CallKey, CallKind, CallRecord, OutcomeRecord
from engine.schema.conversation import STAGE

FIRST_SEED = int(os.environ.get("SIMULATION_SEED", "1"))
EVERYDAY, MANY = 150, 4_000
CONCURRENCY = 3
ATTEMPTS = 3


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATED_KEY", KEY)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as name:
        yield Path(name)


@cache
def prepared(rounds: int, limit: int, has_debrief: bool) -> RunInputs:
    """What runs of this shape are made from, but for their limits."""
    debrief = [{"side": "user", "question": "Were you content?"}] if has_debrief else []
    model = {"max_tokens": 64, "temperature": 0.5}
    endpoint = {"base_url": "http://simulated.invalid/v1", "key_env": "SIMULATED_KEY", "call_timeout_s": 30.0}
    config = RunConfig.model_validate(
        {
            "tasks": ["travel"], "limit": limit, "concurrency": CONCURRENCY, "retry_attempts": ATTEMPTS,
            "conversation": {"max_rounds": rounds, "debrief": debrief}, "adaptive": False,
            "endpoints": {"default": endpoint}, "drain_s": 10, "unreachable_after_s": 100,
            "stages": {"simulator": {**model, "model": "s"}, "assistant": {**model, "model": "a"}},
        }
    )  # fmt: skip
    return prepare(config)


def make_run(folder: Path, world: World, shape: tuple[int, int, bool]) -> SimulatedRun:
    inputs = prepared(*shape)
    endpoint = inputs.config.endpoints["default"]
    limits = endpoint.limits.model_copy(
        update={"max_in_flight": world.max_in_flight, "requests_per_min": world.requests_per_min}
    )
    endpoints = {"default": endpoint.model_copy(update={"limits": limits})}
    run = RunFolder(folder)
    run.make()
    config = inputs.config.model_copy(update={"endpoints": endpoints})
    return SimulatedRun(run, replace(inputs, config=config), world)


_calm: dict[tuple[int, int, bool], tuple[bytes, set[bytes]]] = {}


def calm(shape: tuple[int, int, bool]) -> tuple[bytes, set[bytes]]:
    """The dataset and the requests of a run of this shape that nothing disturbs."""
    if shape not in _calm:
        with TemporaryDirectory() as name:
            run = make_run(Path(name) / "r", World(Random(0), None, None), shape)
            assert run.session(Weather()) == "done"
            _calm[shape] = run.dataset(), set(run.world.bodies)
            assert set(run.world.bodies.values()) == {1}
    return _calm[shape]


def weather(random: Random) -> Weather:
    """What a session meets: calm or not, and whether and when it is killed, told to stop, or out of space."""
    faults = random.choice((FAULTS, FAULTS, random.sample(FAULTS, 3)))
    found = Weather(random.choice((0.0, 0.05, 0.3, 0.9)), faults)
    what = random.random()
    moment = random.choice((0.3, 3.0, 20.0)) * random.random()
    if what < 0.45:
        found.kill_after_s = moment
    elif what < 0.6:
        found.signals_after_s = (moment, moment + random.random())[: random.randint(1, 2)]
    elif what < 0.7:
        found.full_after_commits = random.randint(0, 20)
    if random.random() < 0.2:
        found.clock_set_s = random.choice((-86_400.0, -3_600.0, -30.0, 30.0, 3_600.0))
    return found


def simulate(folder: Path, seed: int) -> Counter[str]:
    """One run from its first session to its end; how its sessions ended."""
    random = Random(seed)
    shape = (random.randint(1, 3), random.randint(1, 6), random.random() < 0.3)
    world = World(random, random.choice((None, 1, 2)), random.choice((None, None, 10, 40)))
    run = make_run(folder, world, shape)
    dataset, requests = calm(shape)
    ends: Counter[str] = Counter()
    lost_before = 0
    for _ in range(random.randint(1, 6)):
        end = run.session(weather(random), retry_failed=random.random() < 0.3)
        ends[end] += 1
        lost = world.answers - len(world.committed)
        # P1, P2: a crash costs at most the calls in flight. A full disk is one, for the calls that waited.
        assert lost - lost_before <= (CONCURRENCY if end in ("killed", "full", "stopped") else 0), "P1"
        world.untold += CONCURRENCY if end in ("killed", "full", "stopped") else 0
        lost_before = lost
        assert set(world.bodies) <= requests, "P3, P8: a request that an undisturbed run does not send"
        check_journal(run, end)
    end = run.session(Weather(), retry_failed=True)
    assert end == "done"
    ends[end] += 1
    assert set(world.bodies) == requests
    assert len(world.committed) == len(requests)
    assert run.dataset() == dataset, "P3: not the bytes of an undisturbed run"
    check_journal(run, end)
    for path, content in run.files().items():
        assert KEY.encode() not in content, f"P7: the key is in {path.name}"
    return ends


def check_journal(run: SimulatedRun, end: str) -> None:
    """What must be true of a journal after each session."""
    with closing(Reader(run.folder.journal)) as reader:
        assert list(reader.damaged_rows()) == []
        rows = [row for row in reader.calls_from(0) if row.kind == CallKind.REPLY]
        keys = [(row.item, row.step, row.attempt) for row in rows]
        assert len(keys) == len(set(keys)), "P2: a reply is there twice"
        assert {run.world.requests[row.reply] for row in rows} == run.world.committed
        planned = [job.job_id for job in run.inputs.plan.jobs()]
        outcomes = reader.outcomes(STAGE, planned)
        for outcome in outcomes.values():
            if outcome.result == "failed":
                assert orjson.loads(outcome.note)["reason"], "P6: a failure without its reason"
        # Bounded through all sessions: one is free, and one is granted after a crash at the very end.
        tries = Counter((row.item, row.step, row.attempt) for row in failed_tries(reader, outcomes))
        assert max(tries.values(), default=0) <= ATTEMPTS + 2, "P6: tried for ever"
        if end == "done":
            assert len(outcomes) == len(planned), "P6: not every conversation has ended"


def failed_tries(reader: Reader, outcomes: Mapping[str, OutcomeRecord]) -> Iterator[CallRecord]:
    """The tries in vain since each conversation last ended, without those that a stop cut off."""
    for row in reader.calls_from(0):
        ended = outcomes.get(row.item)
        is_failure = row.kind in (CallKind.RETRIED, CallKind.POSSIBLY_PAID) and row.reply != CUT_OFF
        if is_failure and (ended is None or row.seq >= ended.as_of):
            yield row


def simulate_all(folder: Path, seeds: range) -> Counter[str]:
    ends: Counter[str] = Counter()
    for seed in seeds:
        try:
            ends += simulate(folder / str(seed), seed)
        except BaseException as error:
            error.add_note(f"SIMULATION_SEED={seed} pytest tests/chaos/test_simulation.py -k one_seed")
            raise
    return ends


def test_one_seed(folder: Path) -> None:
    """The first one, or the one named."""
    simulate(folder / "r", FIRST_SEED)


def test_runs_with_faults_kills_and_resumes(folder: Path) -> None:
    ends = simulate_all(folder, range(1, EVERYDAY + 1))
    assert min(ends[how] for how in ("done", "stopped", "killed", "full")) > 10, ends


def acknowledge_at_once(writer: InlineWriter, row: Row) -> asyncio.Future[None]:
    writer.append_unwaited(row)
    future = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


def forget(history: History, key: CallKey, digest: bytes) -> None:
    return None


@pytest.mark.parametrize(
    ("where", "name", "wrong", "promise"),
    [
        (InlineWriter, "append", acknowledge_at_once, "P1"),
        (History, "find", forget, "P2"),
        (conversation, "failure_status", lambda failure: {}, "P6"),
    ],
)
def test_a_broken_promise_is_seen(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: object, name: str, wrong: object, promise: str
) -> None:
    for shape in [(rounds, limit, has) for rounds in (1, 2, 3) for limit in range(1, 7) for has in (0, 1)]:
        calm((shape[0], shape[1], bool(shape[2])))
    monkeypatch.setattr(where, name, wrong)
    with pytest.raises((AssertionError, KeyError, BaseExceptionGroup)) as seen:
        simulate_all(folder, range(1, 100))
    text = "".join(traceback.format_exception(seen.value))
    assert re.search(promise, text)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_thousands_of_runs_with_faults_kills_and_resumes(folder: Path, part: int) -> None:
    each = MANY // 4
    ends = simulate_all(folder, range(10_000 + part * each, 10_000 + (part + 1) * each))
    print(f"{each} runs; sessions: {dict(ends)}")
