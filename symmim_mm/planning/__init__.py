"""Plan of a run without data, GPU or weights: ``tools/train.py CONFIG --dry-run``."""
