"""All runs of a comparison, in the order of their dependencies, on Snakemake."""
