"""Turn-taking, stopping and flags of one conversation, with no I/O."""
