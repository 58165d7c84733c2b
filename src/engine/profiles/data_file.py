"""The YAML files beside the prompts: of the configured templates or the shipped ones, checked when read."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from engine.config.document import read_document
from engine.errors import BadInput, ConfigError
from engine.profiles.version import FOLDER
from engine.scenarios.places import find_folder
from engine.scenarios.text_template import read_text

FileT = TypeVar("FileT", bound=BaseModel)


def find_data(name: str, templates: Path | None, config_dir: Path | None) -> Path:
    """Where the file `name` lies."""
    own = None if templates is None else templates / FOLDER / name
    if own is not None and own.is_file():
        return own
    return find_folder(f"templates/{FOLDER}", config_dir) / name


def read_data(model: type[FileT], path: Path) -> FileT:
    """The file as `model`. Raises BadInput with the file and the key."""
    try:
        return model.model_validate(read_document(read_text(path), source=str(path)).data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        what = first["msg"].removeprefix("Value error, ")
        raise BadInput(f"{path}: {place}: {what}. See docs/profiles.md.") from error
    except ConfigError as error:
        raise BadInput(str(error)) from error
