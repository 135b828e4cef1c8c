"""The order of samples, and the seeds of their random numbers."""
