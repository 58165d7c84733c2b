"""The offline LLM endpoint: a real HTTP server on loopback for rehearsals, tests and benchmarks."""
