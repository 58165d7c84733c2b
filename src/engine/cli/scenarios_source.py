"""Which templates the commands on scenarios read: a folder's, a configuration's, or those that runs use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from engine.config.load import load_config
from engine.scenarios.catalog import Catalog
from engine.scenarios.places import find_folder
from engine.scenarios.profile_pool import load_profiles
from engine.scenarios.task_file import LANGUAGES
from engine.schema.profile import Profile

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
_OPTIONS = (
    click.option(
        "--templates", type=click.Path(path_type=Path), metavar="DIR",
        help="Folder of the tasks.  [default: as runs]",
    ),
    click.option(
        "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE",
        help="Configuration that says which templates and which language.",
    ),
    click.option("--language", type=click.Choice(LANGUAGES), help="Language of the texts.  [default: en]"),
)  # fmt: skip


def source_options(command: CommandT) -> CommandT:
    """`--templates`, `--config` and `--language`; `open_source` takes them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Source:
    """A templates folder and the language in which it is read."""

    folder: Path
    language: str
    config_dir: Path | None
    pool: Path | None = None

    def profiles(self, pool: Path | None = None) -> list[Profile]:
        """The profiles of `pool`, or of the one that runs use. Raises BadInput."""
        default = find_folder("profiles", self.config_dir) / f"pool.{self.language}.jsonl"
        return list(load_profiles(pool or self.pool or default))

    def load(self, tasks: Sequence[str] | None = None, *, with_behaviour: bool = False) -> Catalog:
        """The catalog of `tasks`, or of all. Raises BadInput."""
        return Catalog.load(self.folder, self.language, tasks, with_behaviour=with_behaviour)


def open_source(templates: Path | None, config_file: Path | None, language: str | None) -> Source:
    """Where the options point. Raises BadInput and ConfigError."""
    config = None if config_file is None else load_config(config_file)
    config_dir = None if config_file is None else config_file.parent.absolute()
    folder = templates or (config and config.templates) or find_folder("templates", config_dir)
    if config is None:
        return Source(folder, language or LANGUAGES[0], None)
    return Source(folder, language or config.language, config_dir, config.profiles)
