"""Optimizer wrappers and parameter groups."""
