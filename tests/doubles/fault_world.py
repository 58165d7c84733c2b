"""A study of three conversations whose endpoint misbehaves by script, in virtual time.

The server runs in the engine's own event loop and time: an hour of silence costs nothing, and no answer
depends on how fast the machine is.
"""

from __future__ import annotations

import logging
import re
import shutil
import socket
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from tests.doubles.command_line import engine, records
from tests.doubles.patient_clock import PatientClock, PatientLoop, put_under_control

from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader
from engine.rehearsal.faults_endpoint import serve_script
from engine.rehearsal.faults_script import Rule, Script, conversation_of
from engine.rehearsal.faults_server import Exchange
from engine.schema.conversation import STAGE

ROOT = Path(__file__).resolve().parents[2]
# What a key may hold that each encoding writes differently.
KEY = 'sk-canary/+"7\\=abcdefgh'
JOBS = ("travel-1-p001-0", "travel-5-p001-0", "travel-7-p001-0")
ATTEMPTS = 4
_APART_S = 10_000_000.0


@dataclass
class FaultWorld:
    """A folder with a study; `run` and `resume` carry it out against a server with the rules given."""

    folder: Path
    transport: str
    endpoint: dict[str, object] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    elapsed_s: float = 0.0
    _script: Script = field(default_factory=lambda: Script(rules=()))
    _socket: socket.socket | None = None
    _sessions: int = 0

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def run_folder(self) -> Path:
        return self.runs / "r"

    def run(self, rules: Sequence[Rule] = (), *options: str, **changes: object) -> int:
        """`engine run` against a server with these rules."""
        url = self._prepare(rules)
        model = {"endpoint": "default", "max_tokens": 256}
        config: dict[str, object] = {
            "tasks": ["travel"], "limit": len(JOBS), "profiles": "profiles.jsonl", "concurrency": 1,
            "transport": self.transport, "retry_attempts": ATTEMPTS, "conversation": {"max_rounds": 1},
            "endpoints": {"default": {"base_url": url, "key_env": "CANARY_KEY", **self.endpoint}},
            "stages": {"simulator": {**model, "model": "s"}, "assistant": {**model, "model": "a"}},
        } | changes  # fmt: skip
        path = self.folder / "engine.yaml"
        path.write_text(yaml.safe_dump(config))
        return self._engine("run", path, "--run", "r", *options)

    def resume(self, rules: Sequence[Rule] = (), *options: str) -> int:
        """`engine resume` against a server with these rules."""
        url = self._prepare(rules)
        return self._engine("resume", "r", "--base-url", url, "--key-env", "CANARY_KEY", *options)

    def _engine(self, *arguments: str | Path) -> int:
        assert self._socket is not None
        try:
            return engine(*arguments, "--runs-dir", self.runs)
        finally:
            self._socket.close()  # where the command ended before anything listened

    def _prepare(self, rules: Sequence[Rule]) -> str:
        self._script = Script(rules=tuple(rules), quote_key=True)
        self._socket = socket.socket(proto=socket.IPPROTO_TCP)  # else without TCP_NODELAY
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.exchanges, self.elapsed_s = [], 0.0
        self.waits.clear()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def loop(self) -> PatientLoop:
        """A session's loop: each begins long after the one before."""
        self._sessions += 1
        return PatientLoop(self._sessions * _APART_S)

    async def beside(self, work: Awaitable[Any]) -> Any:
        """Do `work` while the server listens."""
        clock = PatientClock([])
        began = clock.now()
        async with serve_script(
            self._script, sock=self._socket, wall=clock.wall, keeps_exchanges=True
        ) as server:
            try:
                return await work
            finally:
                self.exchanges, self.elapsed_s = server.exchanges, clock.now() - began

    # What is left behind.

    def sent(self) -> Counter[str]:
        """Requests on the wire in the last session, by conversation and side."""
        return Counter(conversation_of(exchange.body) for exchange in self.exchanges)

    def dataset(self) -> bytes:
        return (self.run_folder / "conversations.jsonl").read_bytes()

    def records(self) -> list[dict[str, object]]:
        return records(self.run_folder / "conversations.jsonl")

    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads((self.run_folder / "summary.json").read_bytes())
        return found

    def journal(self) -> tuple[dict[str, Counter[str]], dict[str, tuple[str, dict[str, Any]]]]:
        """(kinds of call rows by conversation, (result, note) by conversation)."""
        reader = Reader(self.run_folder / JOURNAL_NAME)
        try:
            kinds: dict[str, Counter[str]] = {job: Counter() for job in JOBS}
            last_call, *_ = reader.last()
            for row in reader.calls(list(range(1, last_call + 1))):
                kinds[row.item][row.kind] += 1
            outcomes = {
                job: (row.result, orjson.loads(row.note) if row.note else {})
                for job, row in reader.outcomes(STAGE, JOBS).items()
            }
            return kinds, outcomes
        finally:
            reader.close()


def fault_world(
    folder: Path, transport: str, monkeypatch: pytest.MonkeyPatch, log: list[str] | None = None
) -> FaultWorld:
    """A world whose commands run in virtual time; every library's debug log goes into `log`."""
    shutil.copytree(ROOT / "templates", folder / "templates")
    pool = (ROOT / "profiles" / "pool.en.jsonl").read_bytes().splitlines(keepends=True)[0]
    (folder / "profiles.jsonl").write_bytes(pool)
    monkeypatch.setenv("CANARY_KEY", KEY)
    world = FaultWorld(folder, transport)
    world.waits = put_under_control(monkeypatch, world.loop, world.beside)
    if log is not None:
        handler = _Collector(log)
        root = logging.getLogger()
        monkeypatch.setattr(root, "handlers", [handler])
        monkeypatch.setattr(root, "level", logging.DEBUG)
        root.manager._clear_cache()  # type: ignore[attr-defined]
    return world


class _Collector(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


def words(text: str) -> str:
    """Text with each run of white space as one blank."""
    return re.sub(r"\s+", " ", text)
