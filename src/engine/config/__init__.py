"""The configuration of a run: one frozen value, built once."""
