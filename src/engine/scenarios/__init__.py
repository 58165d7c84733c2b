"""Templates, scenarios and prompts: the pure text side of a job."""
