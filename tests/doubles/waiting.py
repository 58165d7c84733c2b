"""Waits for what another process does; never longer than a test may take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(is_so: Callable[[], bool], *, within_s: float = 15.0) -> None:
    """Return as soon as `is_so()`; fail where it is not within `within_s` seconds of real time."""
    async with asyncio.timeout(within_s):
        while not is_so():  # noqa: ASYNC110 - another process has no event of ours
            await asyncio.sleep(0.01)
