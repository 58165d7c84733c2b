"""Statistics of conversations in their common form: pure functions and tallies; no files, no network."""
