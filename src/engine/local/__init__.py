"""A real small language model on the user's machine, without a key: its weights and its server."""
