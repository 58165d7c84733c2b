"""RUN_OR_FILE: the one argument by which commands name a dataset, a run or a file in a known format."""

from __future__ import annotations

from pathlib import Path

import click

from engine.errors import BadInput
from engine.journal.journal import JOURNAL_NAME
from engine.runner.run_folder import all_folders, open_folder

dataset_argument = click.argument("dataset_name", metavar="RUN_OR_FILE")


def find_dataset(runs_dir: Path, name: str) -> Path:
    """The folder of the run of this name, or the file or folder at this path; a run of that name goes first.

    Raises BadInput where there is neither.
    """
    path = Path(name)
    if "/" not in name:
        folder = runs_dir / name
        if (folder / JOURNAL_NAME).is_file():
            return folder
    elif (path / JOURNAL_NAME).is_file():
        return open_folder(runs_dir, name).path
    if path.exists():
        return path
    known = [folder.name for folder in all_folders(runs_dir)][-10:]
    raise BadInput(
        f"there is no run {name!r} in {runs_dir}, and no file or folder of that name. "
        + (
            f"Known runs: {', '.join(known)}."
            if known
            else "`engine run` or `engine import` makes the first run."
        )
    )
