"""Stages over real HTTP: what conversations are promised holds for whatever else is asked of models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import orjson
import pytest

from engine.clock import SystemClock
from engine.config.endpoint_settings import EndpointSettings, LimitSettings
from engine.config.model_settings import ModelSettings
from engine.config.settings import RunConfig
from engine.errors import CallFailed, ConfigError, EngineError, IdentityChanged, RunLocked
from engine.journal.journal import JOURNAL_NAME, Journal
from engine.journal.reader import Reader
from engine.logs import EventLog
from engine.rehearsal.replies import Reply, error_reply
from engine.rehearsal.server import serve
from engine.rehearsal.settings import Fixed, RehearsalSettings
from engine.runner.progress import RunProgress
from engine.runner.run_folder import RunFolder
from engine.runner.stage import DONE, Ask, End, Stage, StageItem, Steps, recorded_items, replay_item
from engine.runner.stages import StagesResult, work_on_stages

SETTINGS = ModelSettings(model="m")


def twice(name: str) -> Steps:
    """Two steps; the second is asked again until its reply is long enough."""
    first = yield Ask("a", [("user", f"First of {name}?")])
    for attempt in range(3):
        reply = yield Ask("b", [("user", f"Then, after {len(first.text)} characters?")], attempt)
        if len(reply.text) % 3:
            return End(note=orjson.dumps([len(first.text), attempt]).decode())
    return End("incomplete")


def stage(
    count: int = 30, *, name: str = "probe", begin: Callable[[str], Steps] = twice, **changes: Any
) -> Stage:
    def items() -> Iterator[StageItem]:
        return (StageItem(f"item {number}", partial(begin, f"item {number}")) for number in range(count))

    made = Stage(name=name, role="judge", settings=SETTINGS, items=items, identity={"wording": "one"})
    return replace(made, **changes)


class Server:
    """Answers each request with a text that follows from its bytes; may have one answered otherwise."""

    def __init__(self, trouble: Callable[[str], Reply | None] = lambda text: None) -> None:
        self.trouble = trouble
        self.bodies: Counter[bytes] = Counter()
        self.texts: list[str] = []

    def __call__(self, request: dict[str, object], raw: bytes) -> Reply | None:
        self.bodies[raw] += 1
        text = str(request["messages"][-1]["content"])  # type: ignore[index]
        self.texts.append(text)
        if (otherwise := self.trouble(text)) is not None:
            return otherwise
        message = {"role": "assistant", "content": "x" * (1 + crc32(raw) % 7)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return Reply(body=orjson.dumps({"model": "m", "choices": [choice]}))


async def work(
    folder: Path, stages: Sequence[Stage], server: Server, *, concurrency: int = 4, limit: int | None = None,
    limits: LimitSettings | None = None, retry_failed: bool = False, delay_s: float = 0.0,
) -> StagesResult:  # fmt: skip
    config = RunConfig(concurrency=concurrency, retry_attempts=2)
    async with serve(RehearsalSettings(delay=Fixed(delay_s)), replier=server) as served:
        endpoint = EndpointSettings(base_url=served.base_url, limits=limits or LimitSettings())
        RunFolder(folder).make()
        with EventLog(folder / "events.jsonl") as log:
            return await work_on_stages(
                folder, config, {"default": endpoint}, stages, clock=SystemClock(), progress=RunProgress(),
                log=log, limit=limit, retry_failed=retry_failed, guards_disk=False,
            )  # fmt: skip


class Result(NamedTuple):
    """An item as the journal holds it, without what timing decides."""

    item: str
    result: str
    note: str
    calls: list[tuple[str, int, bytes]]


def results(folder: Path, count: int = 30, name: str = "probe") -> list[Result]:
    """What the journal holds of the stage, without what timing decides."""
    reader = Reader(folder / JOURNAL_NAME)
    try:
        return [
            Result(
                outcome.item,
                outcome.result,
                outcome.note,
                [(call.step, call.attempt, call.reply) for call in calls],
            )
            for outcome, calls in recorded_items(reader, name, [f"item {number}" for number in range(count)])
        ]
    finally:
        reader.close()


@pytest.mark.asyncio
async def test_the_same_comes_out_at_any_concurrency_and_in_any_number_of_sessions(tmp_path: Path) -> None:
    server = Server()
    one = await work(tmp_path / "one", [stage()], server, concurrency=1)
    assert sum(one.stages[0].ended.values()) == 30
    plain = results(tmp_path / "one")
    assert any(attempt for _, _, _, calls in plain for _, attempt, _ in calls), "nothing was asked again"
    assert max(server.bodies.values()) == 1, "two attempts had the same seed"
    for limit in (7, 8, None):
        result = await work(tmp_path / "many", [stage()], server, concurrency=9, limit=limit)
    assert (result.stages[0].already_done, sum(result.stages[0].ended.values())) == (8, 22)
    assert results(tmp_path / "many") == plain
    assert max(server.bodies.values()) == 2


@pytest.mark.asyncio
async def test_what_was_begun_goes_on_where_it_stopped_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    def use_up(text: str) -> Reply | None:
        return (
            error_reply(429, "none left", code="insufficient_quota")
            if "Then" in text and len(server.texts) > 20
            else None
        )

    server = Server(use_up)
    stopped = await work(tmp_path / "r", [stage()], server)
    assert isinstance(stopped.stopped_by, EngineError)
    assert stopped.stopped_by.exit_code == 75
    paid = set(server.bodies)
    server.trouble = lambda text: None
    seen = len(server.texts)
    done = await work(tmp_path / "r", [stage()], server)
    assert done.stages[0].already_done + sum(done.stages[0].ended.values()) == 30
    await work(tmp_path / "plain", [stage()], Server())
    assert results(tmp_path / "r") == results(tmp_path / "plain")
    repeated = [body for body, count in server.bodies.items() if count > 1]
    assert len(repeated) <= 4, "only what was refused at the stop is sent again"
    assert len(paid) < seen + 30


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("other", "field"),
    [
        ({"identity": {"wording": "two"}}, "probe: wording"),
        ({"settings": ModelSettings(model="n")}, "probe: model.model"),
        ({"settings": ModelSettings(model="m", structured="json_object")}, "probe: model.structured"),
    ],
)
async def test_a_stage_that_is_another_is_refused_before_any_call(
    tmp_path: Path, other: dict[str, Any], field: str
) -> None:
    server = Server()
    await work(tmp_path / "r", [stage(3)], server)
    seen = len(server.texts)
    with pytest.raises(IdentityChanged) as caught:
        await work(tmp_path / "r", [stage(9, name="first"), stage(5, **other)], server)
    assert [name for name, _, _ in caught.value.differences] == [field]
    assert len(server.texts) == seen
    more = await work(tmp_path / "r", [stage(5)], server)
    assert sum(more.stages[0].ended.values()) == 2, "a stage may grow"


@pytest.mark.asyncio
async def test_one_item_that_fails_stays_one_and_is_taken_up_again_on_request(tmp_path: Path) -> None:
    server = Server(lambda text: error_reply(400, "too odd") if "item 3?" in text else None)
    result = await work(tmp_path / "r", [stage(6)], server)
    assert result.stages[0].ended["failed"] == 1
    assert sum(result.stages[0].ended.values()) == 6
    assert result.stopped_by is None
    [failed] = [note for _, result_, note, _ in results(tmp_path / "r", 6) if result_ == "failed"]
    assert orjson.loads(str(failed))["step"] == "a"
    assert (await work(tmp_path / "r", [stage(6)], server)).stages[0].ended == {}
    server.trouble = lambda text: None
    assert (await work(tmp_path / "r", [stage(6)], server, retry_failed=True)).stages[0].ended == {DONE: 1}
    await work(tmp_path / "plain", [stage(6)], Server())
    assert results(tmp_path / "r", 6) == results(tmp_path / "plain", 6)


@pytest.mark.asyncio
async def test_a_refusal_of_every_first_call_stops_the_stage_and_fails_nothing(tmp_path: Path) -> None:
    server = Server(lambda text: error_reply(400, "response_format is not supported"))
    result = await work(tmp_path / "r", [stage(40)], server, concurrency=4)
    assert isinstance(result.stopped_by, ConfigError)
    assert "stages.judge" in str(result.stopped_by)
    assert len(server.texts) < 20
    server.trouble = lambda text: None
    again = await work(tmp_path / "r", [stage(40)], server)
    assert sum(again.stages[0].ended.values()) == 40
    assert "failed" not in again.stages[0].ended


@pytest.mark.asyncio
async def test_stages_of_one_process_share_the_endpoints_limits(tmp_path: Path) -> None:
    stages = [stage(8, name="one"), stage(8, name="two")]
    result = await work(
        tmp_path / "r", stages, Server(), concurrency=8, limits=LimitSettings(max_in_flight=2), delay_s=0.005
    )
    assert [each.name for each in result.stages] == ["one", "two"]
    reader = Reader(tmp_path / "r" / JOURNAL_NAME)
    calls = list(reader.calls_from(1))
    reader.close()
    spans = sorted((call.sent_at, call.sent_at + call.latency_s) for call in calls)
    overlap = max(sum(start <= at < end for start, end in spans) for at, _ in spans)
    assert overlap <= 2
    assert len({call.session for call in calls}) == 1


@pytest.mark.asyncio
async def test_a_run_that_is_held_is_not_worked_on(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    async with Journal(tmp_path / "r", SystemClock()):
        with pytest.raises(RunLocked):
            await work(tmp_path / "r", [stage()], Server())


@pytest.mark.asyncio
async def test_a_replay_gives_what_was_recorded(tmp_path: Path) -> None:
    await work(tmp_path / "r", [stage(4)], Server())
    reader = Reader(tmp_path / "r" / JOURNAL_NAME)
    try:
        for item, (outcome, calls) in zip(
            stage(4).items(), recorded_items(reader, "probe", [f"item {n}" for n in range(4)]), strict=True
        ):
            assert replay_item(item, calls) == End(outcome.result, outcome.note)
            assert replay_item(item, []).result == "failed"
    finally:
        reader.close()


@pytest.mark.asyncio
async def test_an_item_may_go_on_after_a_failed_call(tmp_path: Path) -> None:
    def brave(name: str) -> Steps:
        try:
            yield Ask("a", [("user", "odd?")])
        except CallFailed as failure:
            reply = yield Ask("b", [("user", "even?")])
            return End("half", f'"{failure.reason}, {bool(reply.text)}"')
        return End()

    server = Server(lambda text: error_reply(400, "no") if "odd" in text else None)
    result = await work(tmp_path / "r", [stage(3, begin=brave)], server)
    assert result.stages[0].ended == {"half": 3}
    assert {note for _, _, note, _ in results(tmp_path / "r", 3)} == {'"bad_request, True"'}
