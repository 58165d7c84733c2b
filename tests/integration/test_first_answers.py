"""A configuration that every first call is refused for stops the run early, and costs no conversation."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from tests.doubles.command_line import records, run_engine

from engine.rehearsal.replies import Reply
from engine.rehearsal.server import serve
from engine.runner.first_answers import FEW

LIMIT = 44
UNKNOWN = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."


class Strict:
    """A server that wants `max_completion_tokens` for one of its models."""

    def __init__(self, model: str) -> None:
        self.model, self.refused = model, 0

    def __call__(self, request: dict[str, object], raw: bytes) -> Reply | None:
        if request["model"] != self.model or "max_completion_tokens" in request:
            return None
        self.refused += 1
        return Reply(400, orjson.dumps({"error": {"message": f"{UNKNOWN} (req_{self.refused}x)"}}))


@pytest.mark.asyncio
@pytest.mark.parametrize(("model", "stage", "concurrency"), [("s", "simulator", 1), ("a", "assistant", 16)])
async def test_run_stops_early_and_a_plain_resume_takes_all_of_them_up(
    tmp_path: Path, model: str, stage: str, concurrency: int
) -> None:
    server = Strict(model)
    async with serve(replier=server) as rehearsal:
        command = (
            "--limit", str(LIMIT), "--concurrency", str(concurrency), "--base-url", rehearsal.base_url,
            "--simulator", "s", "--assistant", "a", "--runs-dir", tmp_path,
        )  # fmt: skip
        code, output = await run_engine("run", "--run", "r", *command)
        assert code == 78, output
        assert UNKNOWN in output
        assert "`max_tokens_field: max_completion_tokens`" in output
        assert f"stages.{stage}" in output
        assert FEW <= server.refused < FEW + concurrency
        code, output = await run_engine("status", "r", "--json", "--runs-dir", tmp_path)
        assert orjson.loads(output)["ended"] == 0, output
        settings = tmp_path / "r" / "run.yaml"
        settings.write_text(
            settings.read_text().replace(
                "max_tokens_field: max_tokens", "max_tokens_field: max_completion_tokens"
            )
        )
        code, output = await run_engine("resume", "r", "--runs-dir", tmp_path)
        assert code == 0, output
        assert (await run_engine("run", "--run", "plain", *command))[0] == 78
        server.model = "none"
        assert (await run_engine("run", "--run", "plain", *command))[0] == 0
    made, plain = ((tmp_path / name / "conversations.jsonl") for name in ("r", "plain"))
    assert len(records(made)) == LIMIT
    assert made.read_bytes() == plain.read_bytes()


@pytest.mark.asyncio
async def test_fewer_conversations_than_that_end_as_failed_with_the_hint(tmp_path: Path) -> None:
    async with serve(replier=Strict("s")) as rehearsal:
        code, output = await run_engine(
            "run", "--run", "r", "--limit", str(FEW - 1), "--base-url", rehearsal.base_url,
            "--simulator", "s", "--assistant", "a", "--runs-dir", tmp_path,
        )  # fmt: skip
        assert code == 3, output
        assert "`max_tokens_field: max_completion_tokens`" in output
        # Nothing is taken up again, and what failed is said all the same.
        for command in ("resume", "status"):
            _, output = await run_engine(command, "r", "--runs-dir", tmp_path)
            assert UNKNOWN in output
            assert "user-1" in output
    assert len(records(tmp_path / "r" / "conversations.jsonl")) == FEW - 1
