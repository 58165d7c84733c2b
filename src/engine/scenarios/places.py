"""Where the engine's own folders lie: beside the configuration, here, in the package, in the checkout.

The first place that holds a usable folder wins, so that a project can bring its own templates, and an
installed wheel works from anywhere. A folder counts only when its content looks right: an unrelated
`templates/` in the working directory must not hide the real one.
"""

from __future__ import annotations

from pathlib import Path

from engine.errors import BadInput

_PACKAGE = Path(__file__).resolve().parents[1]
# What a folder must hold to count; folders not named here must hold anything at all.
_MARKS = {"templates": "*/task.yaml"}


def find_folder(name: str, config_dir: Path | None = None) -> Path:
    """The absolute path of the folder `name` (such as `templates`).

    Raises `BadInput`, listing the places tried, where none holds a usable folder.
    """
    mark = _MARKS.get(name, "*")
    candidates = _candidates(name, config_dir)
    for folder in candidates:
        if folder.is_dir() and next(folder.glob(mark), None) is not None:
            return folder
    tried = "".join(f"\n  {folder}" for folder in candidates)
    raise BadInput(
        f"no folder {name!r} with {mark} in it was found; tried:{tried}\n"
        f"Put one beside the configuration file or into the working directory."
    )


def _candidates(name: str, config_dir: Path | None) -> list[Path]:
    places = [Path.cwd() / name, _PACKAGE / "_packed" / name]
    if config_dir is not None:
        places.insert(0, config_dir.resolve() / name)
    if _PACKAGE.parent.name == "src":  # an editable checkout: the folders lie beside src/
        places.append(_PACKAGE.parents[1] / name)
    return list(dict.fromkeys(places))
