"""Numbers with their nouns."""

import pytest

from symmim_mm.utils.text import counted


@pytest.mark.parametrize(
    ('number', 'noun', 'text'),
    [
        (0, 'epoch', '0 epochs'),
        (1, 'category', '1 category'),
        (2, 'class', '2 classes'),
        (1250, 'category', '1,250 categories'),
    ],
)
def test_plural(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text
