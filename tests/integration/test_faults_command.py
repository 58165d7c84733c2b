"""`engine rehearse --faults`: what docs/faults.md shows, as a user does it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest
from tests.doubles.command_line import engine, run_engine, start_engine

from engine.rehearsal.faults_script import FAULTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"


@pytest.mark.asyncio
async def test_the_page_s_own_script_shakes_a_run_that_ends_whole(tmp_path: Path) -> None:
    shown = re.search(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert shown is not None
    script = tmp_path / "faults.yaml"
    # The hint and the silence would take real time; what replaces them takes none.
    text = shown[1].replace("429-seconds", "429-milliseconds").replace("stalled", "closed-at-reuse")
    script.write_text(
        text.replace("times: 2", "times: 1").replace('"500", share: 0.02', '"500", requests: [9]')
    )
    server = await start_engine("rehearse", "--port", "0", "--faults", script)
    try:
        assert server.stdout is not None
        base_url = (await asyncio.wait_for(server.stdout.readline(), 15)).decode().strip()
        code, output = await run_engine(
            "run", "--base-url", base_url, "--simulator", "any", "--assistant", "any", "--run", "shaken",
            "--limit", "4", "--concurrency", "1", "--runs-dir", tmp_path / "runs",
        )  # fmt: skip
        assert code == 0, output
        assert "4 of 4 conversations" in output
        async with httpx.AsyncClient(trust_env=False) as client:
            stats = (await client.get(base_url.removesuffix("/v1") + "/stats")).json()
        assert stats["requests"] > 20
    finally:
        server.terminate()
        assert await server.wait() == 0


def test_the_list_names_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert engine("rehearse", "--list-faults") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(FAULTS)


def test_a_wrong_script_and_a_public_address_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "faults.yaml"
    script.write_text("rules:\n  - fault: nope\n")
    assert engine("rehearse", "--faults", script) == 65
    assert "there is no fault 'nope'" in capsys.readouterr().err
    script.write_text("rules:\n  - fault: 500\n")
    assert engine("rehearse", "--port", "0", "--host", "0.0.0.0", "--faults", script) == 2
