"""Each fault of the catalogue, met by the main job over real sockets, behaves as docs/faults.md says.

The page's tables are this test's data. Of three conversations the first meets the fault once and the second
each time, both in their second call; the third never. Then the server is mended and the run resumed: what
had failed is taken up again, what was paid for is not asked again, and the dataset is that of a run which
nothing disturbed. Hours of waiting pass in virtual time.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import quote

import orjson
import pytest
from tests.doubles.fault_world import ATTEMPTS, JOBS, KEY, ROOT, FaultWorld, fault_world, words

from engine.rehearsal.faults_script import FAULTS, Rule

PAGE = ROOT / "docs" / "faults.md"
# So often the second conversation meets its fault; calls that wait for capacity outlast it.
TIMES = 12
STEPS = 2 * len(JOBS)
# What both transports share is tested on one of them every day; these are theirs.
PER_TRANSPORT = ("refused", "dropped", "closed-", "reset-", "stalled", "dripping-", "redirect-307", "gzip",
                 "garbage", "bad-", "oversized-", "huge-body", "no-keep-alive", "early-hints", "unknown-",
                 "429-seconds", "401", "500", "stream-r", "stream-stalled", "stream-breathing")  # fmt: skip
LONGEST_WAIT_S = 86_405.0
# Not reasons of a failure, but why the record differs from an undisturbed one's.
MARKS = ("flagged", "uncounted")
# httpx tells of a head only when it is whole: a broken one is no byte to it.
AS_HTTPX = {"closed-in-head": "closed-before-reply", "reset-in-head": "reset-before-reply"}


class Row(NamedTuple):
    """A line of the page: names, then what is to be seen."""

    fault: str
    what: str
    reason: str
    wait: str
    once: str
    each_time: str
    possibly_paid: int
    code: int
    read: str

    @property
    def is_final(self) -> bool:
        """Whether the conversations that met it have ended otherwise than they would have."""
        return self.each_time.startswith(("refused", "context_full")) or self.reason in MARKS


def rows() -> dict[str, Row]:
    found = re.findall(r"^\| `([^`]+)` \|" + r" ([^|]+) \|" * 5 + r" (\d+) \| (\d+) \| `([^|]+)` \|$",
                       PAGE.read_text("utf-8"), re.M)  # fmt: skip
    return {
        name: Row(name, what, reason, wait, once, each_time, int(paid), int(code), read)
        for name, what, reason, wait, once, each_time, paid, code, read in found
    }


ROWS = rows()


def cases() -> Iterator[object]:
    for name in FAULTS:
        for transport in ("asyncio", "httpx"):
            daily = transport == "asyncio" or name.startswith(PER_TRANSPORT)
            marks = [] if daily else [pytest.mark.slow]
            yield pytest.param(transport, name, id=f"{transport}-{name}", marks=marks)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: what survives a power cut is other tests' matter."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        world = fault_world(tmp_path_factory.mktemp("undisturbed"), "asyncio", patch)
        assert world.run() == 0
        assert sum(world.sent().values()) == STEPS
        return world.dataset()


class Seen(NamedTuple):
    """What a run with a fault did, in the words of the page."""

    once: str
    each_time: str
    reasons: set[str]
    waits: list[float]
    possibly_paid: int
    code: int
    output: str


def meet(world: FaultWorld, name: str, read: Callable[[], str]) -> Seen:
    """Run the study against `name`."""
    code = world.run(
        [
            Rule(fault=name, conversation=f"{JOBS[0]}/assistant", times=1),
            Rule(fault=name, conversation=f"{JOBS[1]}/assistant", times=TIMES),
        ]
    )
    output = words(read())
    kinds, outcomes = world.journal()
    sent = world.sent()
    ends = []
    for job in JOBS[:2]:
        result, _ = outcomes.get(job, ("stops", {}))
        tries = sent[f"{job}/assistant"]
        tried = f", {tries} {'try' if tries == 1 else 'tries'}" if tries else ""
        ends.append(("held" if result == "max_rounds" else result) + tried)
    assert all(sent[f"{job}/simulator"] <= 1 for job in JOBS), "a call that met no fault was sent again"
    assert sent[f"{JOBS[2]}/assistant"] <= 1
    paid = sum(count["possibly_paid"] for count in kinds.values())
    assert world.summary()["usage"]["possibly_paid_calls"] == paid
    reasons = {str(note["reason"]) for _, note in outcomes.values() if note}
    for line in (world.run_folder / "events.jsonl").read_bytes().splitlines():
        reasons |= set(orjson.loads(line).get("retries", ()))
    return Seen(ends[0], ends[1], reasons, list(world.waits), paid, code, output)


FORMS = [
    KEY.encode(), json.dumps(KEY)[1:-1].encode(), json.dumps(json.dumps(KEY)[1:-1])[1:-1].encode(),
    quote(KEY, safe="").encode(), quote(KEY).encode(),
    base64.b64encode(KEY.encode()).rstrip(b"="), base64.urlsafe_b64encode(KEY.encode()).rstrip(b"="),
    base64.b64encode(f"Bearer {KEY}".encode()).rstrip(b"="),
    b"sk-canary", base64.b64encode(b"sk-canary"), quote("sk-canary/", safe="").encode(),
]  # fmt: skip


def assert_key_is_nowhere(world: FaultWorld, output: str, log: list[str]) -> None:
    files = {path: path.read_bytes() for path in world.runs.rglob("*") if path.is_file()}
    assert any(path.suffix == ".sqlite" for path in files)
    files[Path("output")] = output.encode()
    files[Path("debug log")] = "\n".join(log).encode()
    for path, body in files.items():
        for form in FORMS:
            assert form not in body, (path, form)


def assert_waits(seen: Seen, row: Row) -> None:
    """The first wait is as the page says; no later one is out of bounds."""
    bounds = re.search(r"([\d.,]+) to ([\d.,]+) s$", row.wait)
    waits = seen.waits
    if row.wait.startswith("at once"):
        assert waits[0] == 0.0
        waits = [wait for wait in waits[1:] if wait]  # the second conversation's own
    if bounds is None:
        assert row.wait in ("-", "at once")
        assert not waits
        return
    low, high = (float(bound.replace(",", "")) for bound in bounds.groups())
    assert low <= waits[0] <= high
    assert all(wait <= LONGEST_WAIT_S for wait in waits)


def test_page_and_catalogue_are_the_same() -> None:
    assert list(ROWS) == list(FAULTS)
    assert [row.what for row in ROWS.values()] == [fault.what for fault in FAULTS.values()]


@pytest.mark.parametrize(("transport", "name"), list(cases()))
def test_what_a_fault_leads_to(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], undisturbed: bytes,
    transport: str, name: str,
) -> None:  # fmt: skip
    row, log = ROWS[AS_HTTPX.get(name, name) if transport == "httpx" else name], list[str]()

    def read() -> str:
        captured = capsys.readouterr()
        return captured.out + captured.err

    world = fault_world(folder, transport, monkeypatch, log)
    if name.startswith("stream-"):
        world.endpoint = {"stream": True}
    seen = meet(world, name, read)
    assert (seen.code, seen.once, seen.each_time) == (row.code, row.once, row.each_time), seen.output
    assert seen.possibly_paid == row.possibly_paid
    assert seen.reasons == (set() if row.reason in ("-", *MARKS) else {row.reason})
    assert_waits(seen, row)
    if silence := re.match(r"(\d+) s, then", row.wait):
        assert world.elapsed_s > float(silence[1]) * row.possibly_paid
    for part in row.read.split("..."):
        assert part.strip() in seen.output
    assert "Traceback" not in seen.output
    assert not [exchange.path for exchange in world.exchanges if "elsewhere" in exchange.path]
    assert_key_is_nowhere(world, seen.output, log)
    if row.is_final:
        return
    kinds, _ = world.journal()
    paid = sum(count["reply"] for count in kinds.values())
    assert world.resume([], "--retry-failed") == 0
    assert world.dataset() == undisturbed
    assert sum(world.sent().values()) == STEPS - paid, "a reply that was paid for was asked again"


# What this module is made of is worth nothing where the attempts are others than those configured.
assert ATTEMPTS == 4
