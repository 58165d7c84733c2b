"""From an error to the exit code that docs/design.md lists."""

from __future__ import annotations

from engine.errors import EngineError

BUG = 70


def find_engine_error(error: BaseException) -> EngineError | None:
    """The engine's own error inside `error`, which task groups may have wrapped."""
    if isinstance(error, EngineError):
        return error
    if isinstance(error, BaseExceptionGroup):
        found = [find_engine_error(inner) for inner in error.exceptions]
        # A bug beside an expected error is still a bug.
        return None if None in found else found[0]
    return None


def exit_code(error: BaseException) -> int:
    """The code for an error that ends a command."""
    known = find_engine_error(error)
    if known is not None:
        return known.exit_code
    return 130 if isinstance(error, KeyboardInterrupt) else BUG
