"""Endpoints, limits, transports and the caller: the one way in which an LLM is asked."""
