"""Encoders, and what is built on their tokens or changes how their blocks compute."""
