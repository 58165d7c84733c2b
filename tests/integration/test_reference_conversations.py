"""All 1,477 real conversations of the reference go through the engine and come out byte for byte."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest
from tests.doubles.command_line import records, run_engine

from engine.rehearsal.replies import Reply
from engine.rehearsal.server import serve

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "recllmsim-conversations.jsonl.gz"
SLUGS = {
    "preparing gifts": "gifts", "new travel planning": "newtravel", "recipe planning": "recipe",
    "skills learning planning": "skills", "travel planning": "travel",
}  # fmt: skip
ASSISTANT_OPENS = {
    "skills-0012", "skills-0377", "travel-0068", "travel-0204", "travel-0345", "travel-0347"
}  # fmt: skip

pytestmark = pytest.mark.skipif(not REFERENCE.exists(), reason="the reference data is not beside the project")


def load_reference() -> dict[str, dict[str, object]]:
    """Job id to reference record."""
    with gzip.open(REFERENCE) as file:
        found = [orjson.loads(line) for line in file]
    return {f"{SLUGS[row['task']]}-{row['task_context_id']}-{row['preference_id']}-0": row for row in found}


class ReplayServer:
    """Knows every conversation and plays both sides by `prompt_cache_key`; goodbye after the last turn."""

    def __init__(self, histories: dict[str, list[dict[str, str]]]) -> None:
        self._histories = histories

    def __call__(self, request: dict[str, object], raw: bytes) -> Reply:
        job_id, _, side = str(request["prompt_cache_key"]).rpartition("/")
        history = self._histories[job_id]
        messages = request["messages"]
        assert isinstance(messages, list)
        asked = "user" if side == "simulator" else "assistant"
        spoken = sum(message["role"] == "assistant" for message in messages)
        own = [turn["content"] for turn in history if turn["role"] == asked]
        text = own[spoken] if spoken < len(own) else "Thank you, goodbye."
        body = {"model": "reference", "choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
        return Reply(body=orjson.dumps(body))


@pytest.mark.asyncio
async def test_real_conversations_come_out_byte_for_byte(tmp_path: Path) -> None:
    reference = load_reference()
    assert len(reference) == 1477
    jobs = tmp_path / "jobs.jsonl"
    with jobs.open("wb") as file:
        for row in reference.values():
            job = {
                "profile": str(row["preference_id"]),
                "task": SLUGS[str(row["task"])],
                "scenario": row["task_context_id"],
            }
            if row["id"] in ASSISTANT_OPENS:
                job["opener"] = "assistant"
            file.write(orjson.dumps(job, option=orjson.OPT_APPEND_NEWLINE))
    config = tmp_path / "engine.yaml"
    config.write_text(
        f"jobs: {jobs}\nprofiles: {REFERENCE}\nvalidation: {{enabled: false}}\n"
        "conversation: {max_rounds: 10, end_check: strict}\n"
    )
    histories = {
        job_id: [{"role": turn["role"], "content": turn["content"]} for turn in row["history"]]  # type: ignore[attr-defined]
        for job_id, row in reference.items()
    }
    async with serve(replier=ReplayServer(histories)) as server:
        code, output = await run_engine(
            "run", config, "--run", "reference", "--runs-dir", tmp_path, "--concurrency", "64",
            "--base-url", server.base_url, "--simulator", "reference", "--assistant", "reference",
        )  # fmt: skip
    assert code == 0, output
    found = records(tmp_path / "reference" / "conversations.jsonl")
    assert len(found) == 1477
    ends: dict[object, int] = {}
    for record in found:
        assert record["history"] == histories[str(record["id"])], record["id"]
        ends[record["end_reason"]] = ends.get(record["end_reason"], 0) + 1
    assert ends == {"goodbye": 1472, "max_rounds": 5}
    texts = [turn["content"] for history in histories.values() for turn in history]
    assert sum(any(t["content"] != t["content"].strip() for t in h) for h in histories.values()) == 476
    assert len(texts) == 11330
