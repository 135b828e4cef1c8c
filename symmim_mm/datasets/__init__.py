"""Datasets, their transforms and samplers, shards, and the generated sample data."""
