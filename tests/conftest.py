"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# A law holds or not; how long an example takes on a busy machine is another question.
settings.register_profile("engine", deadline=None)
settings.load_profile("engine")
