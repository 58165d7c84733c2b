"""A run's folder: its name, what lies in it, and the human-readable `run.yaml`."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import yaml

from engine.config.document import Document, read_document
from engine.config.identity import identity_digest
from engine.config.load import config_of
from engine.config.run_name import RUN_NAME_RULE, is_run_name
from engine.config.settings import RunConfig
from engine.errors import BadInput, CannotWrite, ConfigError, UsageError
from engine.journal import disk_space
from engine.journal.disk_space import estimate, refuse_too_little
from engine.journal.journal import JOURNAL_NAME
from engine.journal.run_lock import is_held
from engine.version import __version__, is_compiled

# Line ends to YAML alone, which it would fold into spaces; inside double quotes they are escaped.
_FOLDED = re.compile("[\x85\u2028\u2029\ufeff]")


class _Dumper(yaml.SafeDumper):
    """Writes every text so that it is read back as it was."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _FOLDED.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where everything of one run lies."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.name

    @property
    def journal(self) -> Path:
        return self.path / JOURNAL_NAME

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def settings(self) -> Path:
        return self.path / "run.yaml"

    @property
    def conversations(self) -> Path:
        return self.path / "conversations.jsonl"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def export(self) -> Path:
        return self.path / "export"

    def is_held(self) -> bool:
        """Whether a process works on the run at this moment."""
        return is_held(self.path)

    def check_space(self, *, planned: int, ended: int) -> None:
        """Raise DiskFull where what is planned would not fit on the disk."""
        estimated = estimate(
            planned=planned,
            ended=ended,
            journal_bytes=_size(self.journal) + _size(self.journal.with_name(f"{JOURNAL_NAME}-wal")),
            dataset_bytes=_size(self.conversations),
        )
        refuse_too_little(
            self.path, disk_space.read_space(self.path), estimated, conversations=max(0, planned - ended)
        )

    def make(self) -> None:
        """Create the folder, private to its owner: prompts and profiles lie in it."""
        self._check_name()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.path.stat().st_mode & 0o077:
                self.path.chmod(0o700)
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise PermissionError(13, os.strerror(13))
        except OSError as error:
            raise self._cannot_write(error.strerror) from error

    def check_place(self) -> None:
        """Raise what `make` would, as far as that can be told without making anything."""
        self._check_name()
        place = self.path
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir():
            raise self._cannot_write(os.strerror(errno.ENOTDIR))
        if not os.access(place, os.W_OK | os.X_OK):
            raise self._cannot_write(os.strerror(errno.EACCES))

    def _check_name(self) -> None:
        try:
            str(self.path).encode()
        except UnicodeEncodeError:
            raise self._cannot_write("its name is not UTF-8") from None

    def _cannot_write(self, why: str | None) -> CannotWrite:
        return CannotWrite(
            f"{self.path}: cannot be written ({why}). Choose another place with --runs-dir DIR."
        )

    def write_settings(self, config: RunConfig, identity: Mapping[str, str], config_dir: Path | None) -> None:
        """Write `run.yaml`: the resolved configuration, the identity and the versions."""
        document: dict[str, object] = {
            "config": config.model_dump(mode="json"),
            "config_dir": None if config_dir is None else str(config_dir.absolute()),
            "identity": dict(identity),
            "identity_digest": identity_digest(identity),
            "versions": {
                "engine": __version__ + " (compiled)" * is_compiled(),
                "python": platform.python_version(),
            },
        }
        with self.settings_lock():
            self._write_document(_HEAD, document)

    @contextmanager
    def settings_lock(self) -> Iterator[None]:
        """Hold off everybody else who would change `run.yaml`, while it is read, changed and written."""
        try:
            file = os.open(self.path / _SETTINGS_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CannotWrite(f"{self.settings}: cannot be written ({error.strerror}).") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def change_settings(self, config: RunConfig, *, is_paused: bool) -> None:
        """Replace `config` in `run.yaml`, and say whether the run is paused; comments at the top stay.

        For whoever holds `settings_lock`.
        """
        text = self._settings_text()
        document = {str(key): value for key, value in self._document(text).data.items() if key != _PAUSED}
        document["config"] = config.model_dump(mode="json")
        if is_paused:
            document[_PAUSED] = True
        head = takewhile(
            lambda line: line.startswith("#") or not line.strip(), text.splitlines(keepends=True)
        )
        self._write_document("".join(head), document)

    def _write_document(self, head: str, document: Mapping[str, object]) -> None:
        text = head + yaml.dump(dict(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
        temporary: Path | None = None
        try:
            # Under a name of its own and private from the start.
            file, name = tempfile.mkstemp(prefix=".run-", suffix=".part", dir=self.path)
            temporary = Path(name)
            with open(file, "w", encoding="utf-8") as part:
                part.write(text)
            temporary.replace(self.settings)
        except OSError as error:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
            raise CannotWrite(f"{self.settings}: cannot be written ({error.strerror}).") from error

    def read_settings(self) -> tuple[RunConfig, Path | None]:
        """The configuration in `run.yaml` and the folder that its templates are looked up beside."""
        document = self._document(self._settings_text())
        named = document.data.get("config_dir")
        config_dir = Path(named) if isinstance(named, str) else None
        config = config_of(document, config_dir or Path(), section="config")
        return config, config_dir

    def read_live_settings(self) -> tuple[RunConfig, bool]:
        """The configuration in `run.yaml`, and whether the run is to be paused."""
        config, _ = self.read_settings()
        return config, self._document(self._settings_text()).data.get(_PAUSED) is True

    def _settings_text(self) -> str:
        try:
            return self.settings.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise BadInput(
                f"{self.path}: holds no run.yaml: the run was stopped before it began, or was imported. "
                f"Repeat the `engine run` or `engine import` command that made it. {_HINT}"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.settings}: cannot be read: {error}") from error

    def _document(self, text: str) -> Document:
        return read_document(text, source=str(self.settings))


_HEAD = (
    "# What this run was told. `engine resume` reads `config`: limits, concurrency and endpoints\n"
    "# may be edited between two sessions; whatever is under `identity` may not.\n"
)
_PAUSED = "paused"
_SETTINGS_LOCK = "settings.lock"
_HINT = "`engine runs` lists the runs that exist."


def open_folder(runs_dir: Path, name: str) -> RunFolder:
    """The folder of a run by name, or by the path of an existing run."""
    if is_run_name(name):
        return RunFolder(runs_dir / name)
    path = Path(name)
    if (path / JOURNAL_NAME).is_file():
        return RunFolder(path)
    raise UsageError(f"{name!r} is no name of a run: {RUN_NAME_RULE}. {_HINT}")


def existing_folder(runs_dir: Path, name: str) -> RunFolder:
    """As `open_folder`, for a run that must exist."""
    folder = open_folder(runs_dir, name)
    if not folder.journal.is_file():
        known = [other.name for other in all_folders(runs_dir)]
        raise BadInput(
            f"there is no run {name!r} in {runs_dir}. "
            + (f"Known runs: {', '.join(known[-10:])}." if known else "`engine run` makes the first one.")
        )
    return folder


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def all_folders(runs_dir: Path) -> list[RunFolder]:
    """Every run in `runs_dir`, the least recently touched first."""
    if not runs_dir.is_dir():
        return []
    found = [path.parent for path in runs_dir.glob(f"*/{JOURNAL_NAME}")]
    return [RunFolder(path) for path in sorted(found, key=lambda path: path.stat().st_mtime)]


def default_name(kind: str, identity: Mapping[str, str]) -> str:
    """The name of a run that was given none: the same command twice means the same run."""
    return f"{kind}-{identity_digest(identity)}"
