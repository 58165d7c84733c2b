"""With `stream: true` a run is the same run: its bytes, requests and accounts; but silence ends a call."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from tests.doubles.command_line import run_engine

from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader
from engine.rehearsal.server import RehearsalServer, serve
from engine.rehearsal.settings import Fixed, RehearsalSettings
from engine.schema.call import CallKind
from engine.wire.formats import FORMATS

pytestmark = pytest.mark.asyncio
PLAIN, STREAMED = "", "stream: true, "


def study(
    folder: Path, server: RehearsalServer, stream: str, kind: str = "openai", limit: int = 8, **limits: float
) -> Path:
    path = folder / "study.yaml"
    more = "".join(f"{name}: {value}, " for name, value in limits.items())
    path.write_text(
        f"limit: {limit}\n"
        f"endpoints: {{lab: {{{stream}{more}format: {kind}, base_url: '{server.base_url}'}}}}\n"
        "stages: {simulator: {endpoint: lab, model: sim}, assistant: {endpoint: lab, model: helper}}\n"
    )
    return path


async def run(folder: Path, file: Path, name: str, *options: str) -> str:
    code, output = await run_engine("run", file, "--run", name, "--runs-dir", folder, *options)
    assert code == 0, output
    return output


def replies(folder: Path) -> list[bytes]:
    reader = Reader(folder / JOURNAL_NAME)
    try:
        calls = sorted(reader.calls_from(0), key=lambda call: (call.item, call.seq))
        assert {call.kind for call in calls} == {CallKind.REPLY}
        return [call.reply for call in calls]
    finally:
        reader.close()


@pytest.mark.parametrize("transport", ["asyncio", "httpx"])
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_the_dataset_the_accounts_and_the_replies_are_the_same(
    tmp_path: Path, kind: str, transport: str
) -> None:
    asked = tmp_path / "asked.jsonl"
    async with serve(RehearsalSettings(request_log=asked)) as server:
        for name, stream in (("plain", PLAIN), ("streamed", STREAMED)):
            await run(tmp_path, study(tmp_path, server, stream, kind), name, "--transport", transport)
    plain, streamed = tmp_path / "plain", tmp_path / "streamed"
    dataset = (plain / "conversations.jsonl").read_bytes()
    assert dataset.count(b"\n") == 8
    assert (streamed / "conversations.jsonl").read_bytes() == dataset
    usages = [orjson.loads((each / "summary.json").read_bytes())["usage"] for each in (plain, streamed)]
    assert usages[0]["prompt_tokens"] > 0
    assert usages[0] == usages[1]
    decode = FORMATS[kind].codec.decode_reply
    assert [*map(decode, replies(plain))] == [*map(decode, replies(streamed))]
    requests = [orjson.loads(line) for line in asked.read_bytes().splitlines()]
    are_streams = [request.pop("stream", False) for request in requests]
    half = len(requests) // 2
    assert are_streams == [False] * half + [True] * half
    for request in requests[half:]:
        assert request.pop("stream_options", None) == ({"include_usage": True} if kind == "openai" else None)
    said = [sorted(map(orjson.dumps, part)) for part in (requests[:half], requests[half:])]
    assert said[0] == said[1]
    code, output = await run_engine("verify", "streamed", "--runs-dir", tmp_path)
    assert (code, "0 problems" in output) == (0, True)


async def test_a_run_may_change_to_streams_and_back(tmp_path: Path) -> None:
    async with serve() as server:
        for limit, stream in ((3, STREAMED), (6, PLAIN), (8, STREAMED)):
            await run(tmp_path, study(tmp_path, server, stream, limit=limit), "it")
        await run(tmp_path, study(tmp_path, server, PLAIN), "plain")
    datasets = [(tmp_path / name / "conversations.jsonl").read_bytes() for name in ("it", "plain")]
    assert datasets[0] == datasets[1]


@pytest.mark.parametrize("transport", ["asyncio", "httpx"])
async def test_doctor_asks_as_the_run_would_and_says_when_the_first_piece_came(
    tmp_path: Path, transport: str
) -> None:
    asked = tmp_path / "asked.jsonl"
    async with serve(RehearsalSettings(request_log=asked, delay=Fixed(0.2))) as server:
        file = study(tmp_path, server, f"{STREAMED}transport: {transport}, ")
        code, output = await run_engine("doctor", file, "--json")
        assert code == 0, output
        _, text = await run_engine("doctor", file)
    assert [orjson.loads(line)["stream"] for line in asked.read_bytes().splitlines()] == [True] * 4
    for found in orjson.loads(output):
        assert (found["status"], found["finish_reason"], found["failure"]) == (200, "stop", None)
        assert found["completion_tokens"] > 0
        assert 0 < found["first_s"] < found["latency_s"]
        assert found["latency_s"] >= 0.2
    assert "the first piece of the stream after 0." in text


async def test_doctor_knows_no_first_piece_without_a_stream(tmp_path: Path) -> None:
    async with serve() as server:
        code, output = await run_engine("doctor", study(tmp_path, server, PLAIN), "--json")
    assert code == 0, output
    assert [found["first_s"] for found in orjson.loads(output)] == [None, None]


async def test_doctor_says_that_a_streamed_reply_never_came(tmp_path: Path) -> None:
    async with serve(RehearsalSettings(delay=Fixed(3600.0))) as server:
        file = study(tmp_path, server, STREAMED, idle_timeout_s=0.2)
        code, output = await run_engine("doctor", file, "--json")
    assert code == 75, output
    for found in orjson.loads(output):
        assert "nothing came for idle_timeout_s" in found["failure"]
        assert "No reply came in time" in found["advice"]
