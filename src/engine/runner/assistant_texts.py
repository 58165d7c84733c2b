"""What assistants of a matrix are told in place of the usual text: `_assistants/<name>.<language>.txt`.

Beside the tasks in the templates folder; a folder of one's own that lacks a text falls back on those that
come with the engine. The texts are plain, with nothing to be filled in, and part of a run's identity.
"""

from __future__ import annotations

from pathlib import Path

from engine.config.matrix import variants_of
from engine.config.settings import RunConfig
from engine.errors import BadInput
from engine.scenarios.places import find_folder

_FOLDER = "_assistants"


def load_assistant_texts(templates: Path, config: RunConfig) -> dict[str, str]:
    """The texts that the configuration's matrix names. Raises BadInput for one that is not there."""
    if config.matrix is None:
        return {}
    names = sorted({each.prompt for each in variants_of(config) if each.prompt is not None})
    return {name: _load(templates / _FOLDER, name, config.language) for name in names}


def _load(folder: Path, name: str, language: str) -> str:
    file = f"{name}.{language}.txt"
    places = [folder, find_folder("templates") / _FOLDER]
    path = next((place / file for place in places if (place / file).is_file()), None)
    if path is None:
        known = sorted({each.name.split(".")[0] for at in places for each in at.glob(f"*.{language}.txt")})
        raise BadInput(
            f"there is no text {name!r} for an assistant ({folder / file}); there are: "
            f"{', '.join(known) or 'none'}. Write the file, or name another `prompt`."
        )
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as UTF-8 text: {error}.") from error
    if not text:
        raise BadInput(f"{path}: is empty; write what the assistant is told.")
    return text
