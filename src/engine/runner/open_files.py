"""How many connections this process may hold: each takes an open file, and systems allow few at first.

The limit that a process starts with is often 1,024 (256 on macOS), the one that it may set itself far higher.
Where even that is too low, calls wait for a connection: one that finds no file left fails, and so does the
journal.
"""

from __future__ import annotations

import resource

# Concurrency and limits bound what is in the air and may be raised meanwhile; a transport opens as many
# connections as it needs.
MOST_CONNECTIONS = 100_000
# Journal, logs, the event loop, files that are read on the way.
_OTHER_FILES = 64
# Some systems name no number, or refuse the one they name.
_ENOUGH = (1_048_576, 65_536, 10_240)


def raise_file_limit() -> None:
    """Allow this process as many open files as the system lets it; never fewer than before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in _ENOUGH:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft == resource.RLIM_INFINITY or most <= soft:
            return
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):
            continue
        return


def most_connections(endpoints: int) -> int:
    """How many connections to each of so many endpoints fit; 0 endpoints = this process serves one itself."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    # A connection to a server of our own takes two: both of its ends are here.
    return max(1, min(MOST_CONNECTIONS, (soft - _OTHER_FILES) // (endpoints or 2)))
