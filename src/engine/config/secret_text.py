"""What looks like a key, by how it is written or by its name, and so must not stand in what a run copies."""

from __future__ import annotations

import re

# What keys look like: sk-..., and the three parts of a signed token.
_KEY = re.compile(r"\b(?:sk|pk|rk|gsk|xai|key)[-_][A-Za-z0-9_-]{12,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.", re.ASCII)
SECRET_FIELD = re.compile(r"api[-_]?key|authorization|secret|password", re.IGNORECASE)
SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie|password", re.IGNORECASE)
# A text that holds no key, but says which environment variable does.
REFERENCE = re.compile(r"\s*(?:[A-Za-z]+ )?\$\{[A-Za-z_][A-Za-z0-9_]*\}\s*")


def looks_like_key(text: str) -> bool:
    """Whether `text` holds what keys look like, and so must not be shown or copied."""
    return bool(_KEY.search(text))
