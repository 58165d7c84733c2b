"""Which libraries the analysis needs beside the engine's own, and what is said where they are absent."""

from __future__ import annotations

from importlib.util import find_spec

from engine.errors import UsageError


def require_libraries(what: str, *names: str) -> None:
    """Refuse, saying what to install, where one of the modules `names` is absent."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{what} needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not "
            "installed: pip install 'recsim-engine[analysis]'"
        )


def is_plotting_possible() -> bool:
    """Whether figures can be drawn."""
    return find_spec("matplotlib") is not None and find_spec("wordcloud") is not None
