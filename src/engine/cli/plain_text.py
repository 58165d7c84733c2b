"""What a model, a server or a file says cannot steer the terminal that it is shown on.

Control characters could move the cursor, change the title or hide a line; marks of direction could turn a
line around. They are written out instead, on screens alone: files keep every text as it came.
"""

from __future__ import annotations

import re

# All controls but tab and line feed; the marks that override or isolate a direction.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    r"""`text` with what could steer a terminal as an escape: `\x1b`, `\u202e`."""
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
