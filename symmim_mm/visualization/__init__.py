"""Drawings of what a model makes of images."""
