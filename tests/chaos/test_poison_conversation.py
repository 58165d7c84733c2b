"""A conversation that always fails is set aside after its tries, whatever becomes of the sessions (P6)."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from tests.doubles.command_line import run_engine, start_engine
from tests.doubles.waiting import until

from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader, open_if_begun
from engine.rehearsal.replies import Reply
from engine.rehearsal.server import serve
from engine.schema.call import CallKind
from engine.schema.conversation import STAGE

POISON = "gifts-1-p001-0"
ATTEMPTS = 3


class Failing:
    """Fails each question to the poison conversation's assistant, and asks for a long wait."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.asked = 0

    def __call__(self, request: dict[str, object], raw: bytes) -> Reply | None:
        if request.get("prompt_cache_key") != f"{POISON}/assistant":
            return None
        self.asked += 1
        return Reply(self.status, b'{"error": {"message": "no"}}', (("retry-after", "600"),))


def failed_tries(folder: Path) -> int:
    if (reader := open_if_begun(folder / JOURNAL_NAME)) is None:
        return 0
    with closing(reader):
        kinds = (CallKind.RETRIED, CallKind.POSSIBLY_PAID)
        return sum(call.kind in kinds for call in reader.calls_from(0))


@pytest.mark.asyncio
@pytest.mark.parametrize(("stop", "status"), [(signal.SIGKILL, 500), (signal.SIGTERM, 502)])
async def test_tries_count_on_through_kills_and_stops(tmp_path: Path, stop: int, status: int) -> None:
    failing = Failing(status)
    async with serve(replier=failing) as server:
        study = tmp_path / "study.yaml"
        model = {"model": "m", "endpoint": "default"}
        study.write_bytes(
            orjson.dumps(
                {
                    "retry_attempts": ATTEMPTS, "limit": 3, "conversation": {"max_rounds": 1},
                    "endpoints": {"default": {"base_url": server.base_url}},
                    "stages": {"simulator": model, "assistant": model},
                }
            )
        )  # fmt: skip
        command = ("run", study, "--run", "r", "--runs-dir", tmp_path)
        folder = tmp_path / "r"
        for tried in range(1, ATTEMPTS):
            process = await start_engine(*command)
            await until(lambda count=tried: failed_tries(folder) >= count)  # type: ignore[misc]
            os.kill(process.pid, stop)
            await process.communicate()
            assert process.returncode == (-9 if stop == signal.SIGKILL else 143)
            assert failing.asked == tried
        code, output = await run_engine(*command)
        assert (code, failing.asked) == (3, ATTEMPTS), output
        with closing(Reader(folder / JOURNAL_NAME)) as reader:
            outcomes = reader.outcomes(STAGE, [POISON])
            assert outcomes[POISON].result == "failed"
            assert reader.counts_by_result(STAGE) == {"failed": 1, "max_rounds": 2}
        # Whoever asks for it gets all tries anew.
        process = await start_engine("resume", "r", "--retry-failed", "--runs-dir", tmp_path)
        await until(lambda: failing.asked > ATTEMPTS)
        process.terminate()
        await process.communicate()
        assert process.returncode == 143
