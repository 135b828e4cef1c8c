"""Datasets whose images are resized once and stored in tar files that are read in sequence."""
