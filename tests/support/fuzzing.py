"""What the tests with drawn values share."""

import os

from hypothesis import HealthCheck, settings


def cases(count: int) -> settings:
    """So many cases, however long one takes; all of the tests together draw some 17,000.

    They are the same in every run, unless the environment variable ``FUZZ_NEW`` asks for others.
    """
    return settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        derandomize=not os.environ.get('FUZZ_NEW'),
    )  # fmt: skip


def one_line(error: Exception) -> None:
    """A message that a command can print after ``error:``."""
    text = ' '.join(str(error).split())
    assert text and len(text) < 3000, text[:200]
