"""What can be wrong about a local server is said before a process is started."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadInput, ConfigError, EngineError, UsageError
from engine.local.server import serve_local


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "own.gguf"
    path.write_bytes(b"GGUF")
    return path


async def refused(model: Path, **wish: Any) -> EngineError:
    with pytest.raises(EngineError) as caught:
        async with serve_local(model, **{"slots": 1, "context_tokens": 512, **wish}):
            pytest.fail("it started")
    return caught.value


@pytest.mark.asyncio
async def test_missing_extra_names_the_pip_command(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    error = await refused(model)
    assert isinstance(error, ConfigError)
    assert "pip install 'recsim-engine[local]'" in str(error)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "wish", [{"slots": 0}, {"context_tokens": 0}, {"threads": 0}, {"threads": 2, "exact": True}], ids=str
)
async def test_impossible_numbers_are_refused(model: Path, wish: dict[str, int]) -> None:
    assert isinstance(await refused(model, **wish), UsageError)


@pytest.mark.asyncio
async def test_absent_model_is_bad_input(tmp_path: Path) -> None:
    assert isinstance(await refused(tmp_path / "absent.gguf"), BadInput)
