"""What a config will do, told without data, GPU or weights: ``tools/train.py CONFIG --dry-run``."""
