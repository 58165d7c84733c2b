"""Request and reply formats of providers, and what to do about their errors; no I/O."""
