"""Loops and data loaders."""
