"""Python's cyclic garbage collector, while thousands of conversations are held.

It walks all objects that it knows each time it looks for cycles, and it looks after so many new ones. With
thousands of conversations in flight that walk took a third of a run's CPU and found nothing: calls, failed
ones too, leave no cycles behind (benchmarks/LOG.md, 2026-11-30). So it looks rarely, and not at what was
there before the work began.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Objects more than before, until the young ones are looked through; a few MB of garbage at most. Python's
# own 700 are 15 conversations. Then how often the younger generations are looked through before the older.
THRESHOLDS = (50_000, 20, 50)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Within the block garbage in cycles is looked for rarely; afterwards as before."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
