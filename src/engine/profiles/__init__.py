"""User profiles by an LLM: how they are asked for, read, kept apart and judged."""
