"""A template is a file of text with named gaps; what fills a gap is data and is never read as a template.

Profiles and other generated texts may contain anything, `{{ ... }}` included, so they only ever enter as
values. Rendering is deterministic (no global functions, no random filter), sandboxed, and a name
that does not exist is an error with file and line, found when the file is loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import SandboxedEnvironment

from engine.config.regular_file import refuse_special
from engine.errors import BadInput

# What a template's own expressions can raise. Nesting and sizes have no bound in Jinja but Python's.
_OF_ITS_CODE = (
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RuntimeError,
    MemoryError,
)


@dataclass(frozen=True, slots=True)
class TextTemplate:
    """A compiled template: its file, its source (no trailing newline) and the names that it uses."""

    path: Path
    source: str
    names: frozenset[str]
    compiled: jinja2.Template

    def render(self, **values: object) -> str:
        """The text, without a trailing newline. Raises `BadInput` naming the file."""
        try:
            return self.compiled.render(values).rstrip("\n")
        except (jinja2.TemplateError, *_OF_ITS_CODE) as error:
            why = str(error) or type(error).__name__
            raise BadInput(f"{self.path}: cannot be rendered: {why}. Correct the template.") from error


def load_template(path: Path, language: str, known: Collection[str]) -> TextTemplate:
    """Read and compile one template file; `known` are the names that it may use.

    Raises `BadInput` for a file that is missing, is not UTF-8, breaks Jinja's syntax or uses another name.
    """
    return compile_template(path, read_text(path).rstrip("\n"), language, known)


def compile_template(path: Path, source: str, language: str, known: Collection[str]) -> TextTemplate:
    """As `load_template`, for a source at hand; `path` names it in errors."""
    environment = _environment(language)
    try:
        tree = environment.parse(source)
        names = meta.find_undeclared_variables(tree)
        compiled = environment.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise BadInput(f"{path}:{error.lineno}: {error.message}. Correct the template.") from error
    except (jinja2.TemplateError, SyntaxError, *_OF_ITS_CODE) as error:
        # Jinja leaves to Python what it does not look at itself, such as an argument that is there twice.
        why = getattr(error, "msg", None) or str(error) or type(error).__name__
        raise BadInput(f"{path}: is no template that can be used: {why}. Correct the template.") from error
    for unknown in sorted(names.difference(known)):
        line = next((found.lineno for found in tree.find_all(nodes.Name) if found.name == unknown), 1)
        usable = ", ".join(sorted(known)) or "none"
        raise BadInput(f"{path}:{line}: there is no variable {unknown!r} here; known ones: {usable}.")
    return TextTemplate(path, source, frozenset(names), compiled)


def read_text(path: Path) -> str:
    """A source file's text with plain newlines and without a byte order mark; else `BadInput`."""
    refuse_special(path, BadInput)
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BadInput(f"{path} is missing; add this file.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8.") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error


@cache
def _environment(language: str) -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    # `lipsum` and `random` would make a request differ from its replay; the other globals are not needed.
    environment.globals.clear()
    del environment.filters["random"]
    environment.filters["listed"] = _listed_zh if language == "zh" else _listed_en
    return environment


def _listed_en(phrases: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(part for part in (", ".join(phrases[:-1]), *phrases[-1:]) if part)


def _listed_zh(phrases: Sequence[str]) -> str:
    return "以及".join(part for part in ("、".join(phrases[:-1]), *phrases[-1:]) if part)
