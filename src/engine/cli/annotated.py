"""A dataset with all that was said of it: what came with it, what judges and people added to its run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from engine.annotation.stored import RunAnnotations
from engine.cli.dataset_argument import find_dataset
from engine.dataset.source import Dataset, open_dataset


@contextmanager
def annotated_dataset(runs_dir: Path, name: str, *, only_kept: bool = False) -> Iterator[Dataset]:
    """The dataset that RUN_OR_FILE names, to be read within the block. Raises BadInput."""
    dataset = open_dataset(find_dataset(runs_dir, name), only_kept=only_kept)
    if not dataset.is_run:
        yield dataset
        return
    with closing(RunAnnotations(dataset.path)) as annotate:
        yield open_dataset(dataset.path, only_kept=only_kept, annotate=annotate)
