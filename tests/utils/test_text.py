"""Numbers with their nouns."""

import pytest

from symmim_mm.utils.text import counted


@pytest.mark.parametrize(
    ('number', 'text'), [(0, '0 epochs'), (1, '1 epoch'), (2, '2 epochs'), (1250, '1,250 epochs')]
)
def test_plural(number: int, text: str) -> None:
    assert counted(number, 'epoch') == text
