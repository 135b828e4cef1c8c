"""Reading, checking, loading and exporting checkpoints."""
