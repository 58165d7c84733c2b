"""What the rehearsal speakers can say: one file per task and language, and one form for all of them."""
