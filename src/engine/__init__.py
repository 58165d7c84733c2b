"""Generate task-based recommendation conversations with two LLMs."""
