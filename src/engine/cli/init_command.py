"""`engine init DIR`: a configuration with every key, and templates and profiles to edit.

Nothing that is there already is overwritten unless that is asked for. Every place is looked at before the
first file is written, and nothing is written through a link.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from engine.errors import CannotWrite, DiskFull, UsageError
from engine.scenarios.places import find_folder

CONFIGURATION = Path(__file__).with_name("engine.yaml")
_FOLDERS = ("templates", "profiles")


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Write into a folder that is not empty, over what is there.")
def init(folder: Path, force: bool) -> int:
    """Write DIR/engine.yaml, with every key explained, and copy templates and profiles to edit."""
    try:
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file; name a folder that is new or empty.")
        if not force and folder.is_dir() and next(folder.iterdir(), None) is not None:
            raise UsageError(
                f"{folder} is not empty and nothing was written. Name another folder, or say --force to "
                "write engine.yaml, templates/ and profiles/ over those that are there."
            )
        copies = [(CONFIGURATION, folder / CONFIGURATION.name)]
        for name in _FOLDERS:
            source = find_folder(name)
            if source.resolve() != (folder / name).resolve():
                copies += _files_below(source, folder / name)
        for _, target in copies:
            _check_place(folder, target)
        for source, target in copies:
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(source, target)
    except OSError as error:
        kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else CannotWrite
        raise kind(
            f"{folder}: cannot be written ({error.strerror or error}). Choose another place, or make room."
        ) from error
    path = folder / CONFIGURATION.name
    click.echo(
        f"wrote {path}, and {' and '.join(_FOLDERS)} beside it. To look at the plan, then to rehearse:"
    )
    click.echo(f"  engine run {path} --dry-run\n  engine run {path} --limit 22")
    return 0


def _files_below(source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    """Each file below `source` and its place below `target`."""
    for path, _, names in os.walk(source, followlinks=True):
        for name in names:
            found = Path(path) / name
            yield found, target / found.relative_to(source)


def _check_place(folder: Path, target: Path) -> None:
    """Raise UsageError where `target`, or a folder on the way to it from `folder`, is something else."""
    way = [folder / part for part in reversed(target.relative_to(folder).parents)][1:]
    for place in (*way, target):
        is_file = place == target
        if place.is_symlink():
            wrong = f"{place} is a link, and nothing is written through one"
        elif not is_file and place.exists() and not place.is_dir():
            wrong = f"{place} is a file, and a folder belongs there"
        elif is_file and place.exists() and not place.is_file():
            wrong = f"{place} is a folder, and a file belongs there"
        else:
            continue
        raise UsageError(f"{wrong}. Nothing was written: remove or rename it, or name another folder.")


def _copy(source: Path, target: Path) -> None:
    file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)
    with source.open("rb") as read, open(file, "wb") as written:
        shutil.copyfileobj(read, written)
