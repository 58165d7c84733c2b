"""Makes the conversations of this folder's tests importable as a fixture (test folders are no packages)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

_PATH = Path(__file__).with_name("held_conversations.py")


@pytest.fixture(scope="session")
def held() -> ModuleType:
    """The module that holds conversations with the responder."""
    spec = importlib.util.spec_from_file_location("rehearsal_held_conversations", _PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
