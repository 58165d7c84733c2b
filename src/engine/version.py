"""The one place where the package's version is written, and what kind of build this is."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec

__version__ = "0.1.0"


def is_compiled() -> bool:
    """Whether the path of a call runs as machine code (`make wheel-compiled`) and not as Python."""
    spec = find_spec("engine.clock")
    return spec is not None and (spec.origin or "").endswith(tuple(EXTENSION_SUFFIXES))
