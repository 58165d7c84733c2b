"""Whether a file is a journal at all: one that has begun, one that has not yet, or the remains of one."""

from __future__ import annotations

from pathlib import Path

import apsw

from engine.errors import EngineError, JournalDamaged, NotBegun


def has_tables(connection: apsw.Connection) -> bool:
    """Whether the database is a journal with its tables; they are made in one transaction."""
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name='meta'").fetchall())


def refuse_emptied(path: Path) -> None:
    """Raise JournalDamaged for a journal without content whose run had begun: it must not begin again.

    Its settings are written after the journal's tables; a log is made after the database's first page.
    """
    log = path.with_name(f"{path.name}-wal")
    is_cut = path.is_file() and path.stat().st_size == 0 and log.is_file() and log.stat().st_size > 0
    if is_cut or (path.parent / "run.yaml").exists():
        raise damaged(path, "it is empty or gone, though the run had begun")


def empty(path: Path) -> EngineError:
    """The error for a journal without content: it is damaged, or its run had not begun."""
    refuse_emptied(path)
    return NotBegun(
        f"{path}: the run was stopped before anything was written; repeat the `engine run` command that "
        "made it."
    )


def damaged(path: Path, why: object) -> JournalDamaged:
    """The error for a file that SQLite cannot read."""
    return JournalDamaged(
        f"{path}: cannot be read as a journal ({why}). It is never replaced or restarted in silence: copy "
        "the run's folder first. `engine runs rescue RUN NEW` saves every row whose checksum holds into a "
        "new run."
    )
