"""`engine init DIR`: a configuration with every key, and templates and profiles to edit.

Nothing that is there already is overwritten unless that is asked for.
"""

from __future__ import annotations

import errno
import shutil
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
        sources = {name: find_folder(name) for name in _FOLDERS}
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CONFIGURATION, folder / CONFIGURATION.name)
        for name, source in sources.items():
            if source.resolve() != (folder / name).resolve():
                shutil.copytree(source, folder / name, dirs_exist_ok=True, copy_function=shutil.copyfile)
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
