"""A cell is one model, trained and tested once; it is kept in a file under what decided it, and made once.

The key is the data's digest, the split's assignment, model, parameters, seed and the libraries' versions: a
change of any makes another cell. Files are replaced whole, so a kill costs at most the cell in work.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from engine.dataset.build import replacing
from engine.errors import BadInput, CannotWrite, RunLocked
from engine.experiments.splits import Split, SplitSamples

FORMAT = "recsim-intent-cell/1"


@dataclass(frozen=True, slots=True)
class Predictions:
    """One answer per test sample, in order; anything that is no label is an answer that could not be read.

    `confidence` in 0..1 where the model gives one. `notes` are plain JSON: best epoch, cost, what was cut.
    """

    predicted: tuple[str, ...]
    confidence: tuple[float, ...] | None = None
    notes: Mapping[str, object] = field(default_factory=dict)


class CannotRun(Exception):
    """A model cannot be used in this way at all; the message goes into the table in place of figures."""


class CellRunner(Protocol):
    """What makes cells: a way to train and ask one model. PLMs and LLMs are further implementations.

    `group` is the block of the table (`GROUPS` in table.py), `mode` how the model was used, empty where there
    is one way. `params` and `versions` go into the key, and hold plain JSON. `is_seeded`: whether the seed
    changes anything when the parts stay the same.
    """

    @property
    def name(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def is_seeded(self) -> bool: ...
    @property
    def params(self) -> Mapping[str, object]: ...
    @property
    def versions(self) -> Mapping[str, str]: ...

    def run(self, samples: SplitSamples, seed: int, folder: Path) -> Predictions:
        """Train and test. `folder` is the cell's own: what is left there is found again after a kill.

        Raises CannotRun.
        """
        ...


class Cell(BaseModel):
    """A finished cell as its file holds it; answers are in the order of the split's test part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str
    key: dict[str, Any]
    gold: tuple[str, ...]
    predicted: tuple[str, ...]
    confidence: tuple[float, ...] | None
    notes: dict[str, Any]
    seconds: float
    command: str

    @property
    def cell_id(self) -> str:
        return key_digest(self.key)


def cell_key(data_digest: str, split: Split, runner: CellRunner, seed: int) -> dict[str, Any]:
    """What decides a cell's result."""
    return {
        "data": data_digest,
        "split": {"kind": str(split.kind), "seed": split.seed, "assignment": split.digest},
        "model": {"name": runner.name, "group": runner.group, "mode": runner.mode},
        "params": dict(runner.params),
        "seed": seed,
        "versions": dict(runner.versions),
    }


def key_digest(key: Mapping[str, Any]) -> str:
    """The cell's name: digits of the digest of its key."""
    return hashlib.sha256(orjson.dumps(key, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


class CellFolder:
    """The cells of one output folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"CellFolder({self.path}, {len(list(self.path.glob('*.json')))} cells)"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only process that makes cells here. Raises RunLocked where another does, CannotWrite."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            held = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise CannotWrite(
                f"{self.path}: cannot be made ({error.strerror}). Name another folder with --out."
            ) from error
        try:
            # The system takes the lock away with the process, however that ends.
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunLocked(
                    f"{self.path}: another process makes cells here. When it is done the same command finds"
                    " them; --out names another folder."
                ) from error
            yield
        finally:
            os.close(held)

    def find(self, key: Mapping[str, Any]) -> Cell | None:
        """The cell of `key`, None where it was not made. Raises BadInput where its file is damaged."""
        path = self._file(key)
        try:
            cell = Cell.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadInput(f"{path}: cannot be read ({error.strerror}).") from error
        except ValidationError as error:
            raise BadInput(f"{path}: no cell, or damaged. Remove the file and it is made again.") from error
        if cell.format != FORMAT or cell.key != key:
            raise BadInput(f"{path}: holds another cell. Remove the file and it is made again.")
        return cell

    def make(
        self, key: Mapping[str, Any], runner: CellRunner, samples: SplitSamples, seed: int, command: str
    ) -> Cell:
        """Run the cell and keep it."""
        began = time.monotonic()
        work = self.path / f"{key_digest(key)}.work"
        answers = runner.run(samples, seed, work)
        gold = tuple(sample.intent for sample in samples.test)
        if len(answers.predicted) != len(gold):
            raise ValueError(f"{runner.name}: {len(answers.predicted)} answers to {len(gold)} samples")
        cell = Cell(
            format=FORMAT,
            key=dict(key),
            gold=gold,
            predicted=answers.predicted,
            confidence=answers.confidence,
            notes=dict(answers.notes),
            seconds=round(time.monotonic() - began, 3),
            command=command,
        )
        with replacing(self._file(key)) as file:
            file.write(orjson.dumps(cell.model_dump(mode="json"), option=orjson.OPT_APPEND_NEWLINE))
        shutil.rmtree(work, ignore_errors=True)
        return cell

    def _file(self, key: Mapping[str, Any]) -> Path:
        return self.path / f"{key_digest(key)}.json"
