"""Texts of others, as they are safe to show on a terminal, a page and in a table."""

from collections.abc import Sequence
from typing import Any

# These join letters in Persian, Arabic and Indian scripts and in emoji; they do nothing else.
JOINERS = '\u200c\u200d'
NAME_LENGTH = 100


def visible(text: str) -> str:
    r"""A text in one line, with characters that cannot be seen as escapes.

    Control characters can move a terminal's cursor or end a line; formatting characters can make
    a text read in another order than it has. They become ``\n``, ``\x1b``, ``\u202e``.
    """
    if text.isprintable():
        return text
    return ''.join(
        sign if sign.isprintable() or sign in JOINERS
        else sign.encode('unicode_escape', 'surrogatepass').decode('ascii')
        for sign in text
    )  # fmt: skip


def short(name: str, most: int = NAME_LENGTH) -> str:
    """A name from a file, visible and of a readable length; what is cut off shows as ``...``."""
    text = visible(name[: most + 1])
    return text if len(text) <= most else f'{text[:most]}...'


def listed(names: Sequence[str], most: int) -> str:
    """The first names of a file's, each :func:`short`, and how many more there are."""
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(short(name) for name in names[:most]) + more


def is_text(value: Any) -> bool:
    """Whether a value is a text that is not empty and can be written as UTF-8."""
    if not isinstance(value, str) or not value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # a byte of a name that is not UTF-8, or half a character
        return False
    return True
