"""Fixtures of the tests of one's own data."""

from pathlib import Path

import pytest
from own_data import write


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Ten images of each of two classes."""
    for name in ('cat', 'dog'):
        for number in range(10):
            write(tmp_path / 'folder' / name / f'{number}.png', number)
    return tmp_path / 'folder'
