"""The journal: the append-only truth of a run."""
