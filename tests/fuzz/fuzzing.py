"""What the tests with drawn values share."""

from hypothesis import HealthCheck, settings


def cases(count: int) -> settings:
    """So many cases, however long one takes; all of the tests together draw more than 10,000."""
    return settings(
        max_examples=count, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def one_line(error: Exception) -> None:
    """A message that a command can print after ``error:``."""
    text = ' '.join(str(error).split())
    assert text and len(text) < 3000, text[:200]
