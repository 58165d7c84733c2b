"""Judges: LLM annotators over conversations, people's annotations, and both read as one."""
