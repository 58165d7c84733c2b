"""Packs a run into one file, also while a process works on it: the journal as SQLite copies it."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path

from engine.errors import CannotWrite, DiskFull, UsageError
from engine.journal.reader import Reader
from engine.runner.run_folder import RunFolder

_NO_SPACE = 28


def archive_run(folder: RunFolder, out: Path) -> Path:
    """Write the run to `out`, a new `.tar.gz` file, private to its owner; its path.

    `tar xzf FILE -C runs` puts it back. Raises CannotWrite or DiskFull, and leaves nothing behind then.
    """
    if not out.name.endswith((".tar.gz", ".tgz")):
        raise UsageError(f"--out: {out} must end in .tar.gz.")
    if out.exists():
        raise UsageError(f"--out: {out} exists already; choose another name.")
    # Resolved: a link or `..` may lead there too.
    if out.resolve().is_relative_to(folder.path.resolve()):
        raise UsageError(
            f"--out: {out} lies inside the run's own folder, which is what is packed and what `runs prune` "
            "removes. Choose a place outside it."
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".archive-", dir=out.parent) as temporary:
            copy = RunFolder(Path(temporary) / folder.name)
            copy.path.mkdir(mode=0o700)
            with closing(Reader(folder.journal)) as reader:
                reader.copy_to(copy.journal)
            for path in (folder.settings, folder.conversations, folder.summary, *_event_files(folder)):
                if path.is_file():
                    shutil.copy2(path, copy.path / path.name)
            packed = Path(temporary) / out.name
            with packed.open("xb") as file:
                os.fchmod(file.fileno(), 0o600)
                with tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as tar:
                    tar.add(copy.path, arcname=folder.name)
                file.flush()
                os.fsync(file.fileno())
            packed.replace(out)
    except OSError as error:
        if error.errno == _NO_SPACE:
            raise DiskFull(f"{out}: the disk is full; no archive was made.") from error
        raise CannotWrite(f"{out}: cannot be written ({error.strerror}).") from error
    return out


def _event_files(folder: RunFolder) -> list[Path]:
    return sorted(folder.path.glob("events*.jsonl"))
