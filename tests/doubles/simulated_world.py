"""A whole run in one thread and in virtual time, in a world that fails at random and remembers everything.

The engine's own code holds the conversations; only what touches the outside is put in its place: clock,
transport, and the journal's thread, whose commits take virtual time and happen on the loop. So a seed decides
everything, and a kill may come between any two steps.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any

import apsw
import orjson
import pytest
from tests.doubles.virtual_clock import VirtualClock, VirtualLoop, run_virtual

from engine.config.settings import RunConfig
from engine.dataset.build import write_dataset
from engine.errors import DiskFull, TransportFailed
from engine.journal import journal
from engine.journal.inputs import RunInputs, read_inputs
from engine.journal.reader import Reader
from engine.journal.writer import Row, Writer, _Entry
from engine.llm.transport import RawReply
from engine.logs import EventLog
from engine.runner import endpoints
from engine.runner.progress import RunProgress
from engine.runner.run import work_on_run
from engine.runner.run_folder import RunFolder
from engine.schema.call import CallKind, CallRecord

KEY = "sk-simulated-canary-0123456789"
_SAID = re.compile(rb"said-[0-9a-f]{16}")
FAULTS = (
    "connect", "reset", "reset-after", "deadline", "429", "429-hint", "500", "503", "502", "400", "page",
    "empty", "401", "quota",
)  # fmt: skip
FREE = ("429", "429-hint", "500", "503", "400", "401", "quota")
# What ends a session at once: rare, or nothing would ever be held.
RARE = ("401", "quota")


class Killed(SystemExit):
    """The process is gone: nothing that it had not on disk is left."""


@dataclass
class Weather:
    """What one session meets: shares of calls that meet faults, and when it is killed or told to stop."""

    fault_share: float = 0.0
    faults: Sequence[str] = FAULTS
    kill_after_s: float | None = None
    signals_after_s: Sequence[float] = ()
    full_after_commits: int | None = None
    clock_set_s: float = 0.0


@dataclass
class World:
    """Everything outside the engine, and what it saw. All times are seconds of one clock that never stops."""

    random: Random
    max_in_flight: int | None
    requests_per_min: int | None
    weather: Weather = field(default_factory=Weather)
    now: float = 1_000.0
    epoch: float = 1_700_000_000.0
    in_flight: int = 0
    is_dead: bool = False
    sends: deque[float] = field(default_factory=deque)
    # Sends of earlier processes that no row tells of, since they cost nothing or their process was killed.
    untold: int = 0
    refusals: list[float] = field(default_factory=list)
    bodies: Counter[bytes] = field(default_factory=Counter)
    answered: dict[bytes, bytes] = field(default_factory=dict)
    committed: set[bytes] = field(default_factory=set)
    answers: int = 0
    commits: int = 0
    requests: dict[bytes, bytes] = field(default_factory=dict)

    # --- the server ------------------------------------------------------------------------------

    def receive(self, body: bytes, headers: Mapping[str, str], now: float) -> None:
        """A request is on the wire: what must hold then is looked at."""
        assert headers["authorization"] == f"Bearer {KEY}"
        assert body not in self.committed, "P2: a reply that is on disk was asked for again"
        for said in _SAID.findall(body):
            assert self.answered[said] in self.committed, "P1: a reply was used before it was on disk"
        self.bodies[body] += 1
        self.in_flight += 1
        if self.max_in_flight is not None:
            assert self.in_flight <= self.max_in_flight, "P5: too many in flight"
        self.sends.append(now)
        while self.sends and self.sends[0] <= now - 60.0:
            self.sends.popleft()
        if self.requests_per_min is not None:
            assert len(self.sends) <= self.requests_per_min + self.untold, "P5: too many in a minute"

    def answer(self, body: bytes) -> RawReply:
        """What a model says: decided by the request alone."""
        request = orjson.loads(body)
        digest = blake2b(body, digest_size=8).hexdigest()
        text = f"said-{digest}"
        self.answered[text.encode()] = body
        self.answers += 1
        ends = request["model"] == "s" and len(request["messages"]) > 2 and int(digest[:2], 16) < 90
        if ends:
            text = "Thank you, goodbye."
        return _reply(200, {
            "id": digest, "model": request["model"],
            "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": len(body) // 4, "completion_tokens": 9},
        })  # fmt: skip

    def fault(self) -> str | None:
        """What befalls the next request."""
        if self.random.random() >= self.weather.fault_share:
            return None
        fault = self.random.choice(self.weather.faults)
        return None if fault in RARE and self.random.random() < 0.95 else fault

    # --- the disk --------------------------------------------------------------------------------

    def on_disk(self, rows: Sequence[Row]) -> None:
        """These rows have been committed."""
        for row in rows:
            if isinstance(row, CallRecord) and row.kind == CallKind.REPLY:
                self.committed.add(self.requests[row.reply])


def _reply(status: int, document: object, **headers: str) -> RawReply:
    return RawReply(status, {"content-type": "application/json", **headers}, orjson.dumps(document))


class SimulatedTransport:
    """`Transport` to the world's server."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, deadline_s: float) -> RawReply:
        world = self._world
        fault = world.fault()
        if fault == "connect":
            await asyncio.sleep(0.01)
            raise TransportFailed("connect", "refused", possibly_paid=False)
        world.receive(body, headers, asyncio.get_running_loop().time())
        try:
            return await self._exchange(body, fault, deadline_s)
        finally:
            world.in_flight -= 1

    async def _exchange(self, body: bytes, fault: str | None, deadline_s: float) -> RawReply:
        world = self._world
        await asyncio.sleep(world.random.choice((0.2, 1.0, 1.0, 5.0)) * world.random.uniform(0.5, 1.5))
        if fault in FREE:
            world.refusals.append(asyncio.get_running_loop().time())
        quoted = {"error": {"message": f"no: {KEY}", "type": "t"}}
        match fault:
            case "reset":
                raise TransportFailed("reset", "reset", possibly_paid=True)
            case "reset-after":
                raise TransportFailed("reset", "reset", possibly_paid=True, no_byte_received=False)
            case "deadline":
                await asyncio.sleep(deadline_s)
                raise TransportFailed("deadline", "late", possibly_paid=True, no_byte_received=False)
            case "429":
                return _reply(429, quoted)
            case "429-hint":
                return _reply(429, quoted, **{"retry-after": str(world.random.randint(1, 90))})
            case "400" | "401" | "500" | "502" | "503":
                return _reply(int(fault), quoted)
            case "quota":
                return _reply(429, {"error": {"code": "insufficient_quota", "message": "used up"}})
            case "page":
                return RawReply(200, {"content-type": "text/html"}, b"<html>no</html>")
            case "empty":
                return _reply(200, {"choices": [{"message": {"content": None}, "finish_reason": "stop"}]})
        raw = world.answer(body)
        world.requests[raw.body] = body
        return raw

    async def aclose(self) -> None:
        """Nothing is held."""


class InlineWriter(Writer):
    """The journal's writer without its thread: what has gathered is committed some milliseconds later."""

    world: World

    def __init__(
        self, connection: apsw.Connection, loop: asyncio.AbstractEventLoop, guard: Any = None
    ) -> None:
        self._connection, self._loop, self._guard = connection, loop, guard
        self._connection.execute(
            "PRAGMA synchronous=OFF"
        )  # the machine stays on; power cuts are other tests'
        self._failure = None
        self._rows = self._commits = 0
        self._gathered: list[_Entry] = []

    def append(self, row: Row) -> asyncio.Future[None]:
        if self._failure is not None:
            raise self._failure
        future = self._loop.create_future()
        self._gather((row, future))
        return future

    def append_unwaited(self, row: Row) -> None:
        if self._failure is not None:
            raise self._failure
        self._gather((row, None))

    async def stop(self) -> None:
        self._flush()

    def _gather(self, entry: _Entry) -> None:
        self._gathered.append(entry)
        if len(self._gathered) == 1:
            self._loop.call_later(self.world.random.uniform(0.001, 0.05), self._flush)

    def _flush(self) -> None:
        batch, self._gathered = self._gathered, []
        if batch and not self.world.is_dead:
            self._commit(batch)

    def _insert(self, rows: Sequence[Row]) -> None:
        super()._insert(rows)
        world = self.world
        world.commits += 1
        if world.weather.full_after_commits is not None and world.commits > world.weather.full_after_commits:
            raise apsw.FullError("no space is left in this world")

    def _commit(self, batch: list[_Entry]) -> None:
        before = self._commits
        super()._commit(batch)
        if self._commits > before:
            self.world.on_disk([row for row, _ in batch])


def _write_settings(
    folder: RunFolder, config: RunConfig, identity: Mapping[str, str], config_dir: Path | None
) -> None:
    """As JSON, which is YAML: to lay it out for people takes a third of a simulated run."""
    folder.settings.write_bytes(orjson.dumps({"config": config.model_dump(mode="json")}))


@dataclass
class SimulatedRun:
    """One run in a world; `session` works on it until it ends, stops, or is killed."""

    folder: RunFolder
    inputs: RunInputs
    world: World

    def session(self, weather: Weather, *, retry_failed: bool = False) -> str:
        """How it ended: done, stopped, killed or full."""
        world = self.world
        world.weather, world.is_dead, world.in_flight, world.commits = weather, False, 0, 0
        world.epoch += weather.clock_set_s
        if weather.clock_set_s > 0:  # what was just sent seems to lie long ago
            world.untold += len(world.sends)
        world.untold += sum(at > world.now - 60.0 for at in world.refusals)
        loop = VirtualLoop(world.now)
        InlineWriter.world = world
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(journal, "Writer", InlineWriter)
            patch.setattr(endpoints, "open_endpoint_transport", lambda *_, **__: SimulatedTransport(world))
            patch.setattr(RunFolder, "write_settings", _write_settings)
            try:
                return run_virtual(loop, self._work(loop, retry_failed=retry_failed))
            except Killed:
                return "killed"
            except BaseExceptionGroup as group:
                full, others = group.split(DiskFull)
                if others is not None:
                    raise
                assert full is not None
                return "full"
            except DiskFull:
                return "full"
            finally:
                world.now = loop.time() + world.random.choice((0.5, 20.0, 100.0))

    async def _work(self, loop: VirtualLoop, *, retry_failed: bool) -> str:
        weather = self.world.weather
        if weather.kill_after_s is not None:
            loop.call_later(weather.kill_after_s, self._kill)
        timers = [loop.call_later(after_s, self._terminate) for after_s in weather.signals_after_s]
        progress = RunProgress()
        try:
            with EventLog(self.folder.events) as log:
                result = await work_on_run(
                    self.folder, self.inputs, self.inputs.config.endpoints, progress=progress, log=log,
                    clock=VirtualClock(loop, self.world.epoch), retry_failed=retry_failed, guards_disk=False,
                )  # fmt: skip
        finally:
            for timer in timers:
                timer.cancel()
        return "done" if result.stopped_by is None else "stopped"

    def _terminate(self) -> None:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # nobody listens yet, or any more
            self._kill()
        os.kill(os.getpid(), signal.SIGTERM)

    def _kill(self) -> None:
        self.world.is_dead = True
        raise Killed

    def dataset(self) -> bytes:
        """The records of what has ended."""
        path = self.folder.conversations
        with closing(Reader(self.folder.journal)) as reader:
            write_dataset(reader, read_inputs(reader), path)
        return path.read_bytes()

    def files(self) -> Mapping[Path, bytes]:
        return {path: path.read_bytes() for path in self.folder.path.rglob("*") if path.is_file()}
