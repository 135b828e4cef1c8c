"""Speed, measured against a named peer in the same run; one module per benchmark.

A benchmark module has ``add_arguments(parser)`` and ``run(args) -> dict``, whose result
``tools/benchmark.py`` writes as JSON, and ``tables(result) -> dict[str, str]``, which makes the
Markdown tables of ``docs/performance.md`` of such a result.
"""
