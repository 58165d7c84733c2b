"""Plan, scheduler and progress of a run."""
