"""Text from elsewhere made safe to show, and times as people read them."""

from collections.abc import Sequence
from datetime import UTC, datetime

# These join letters in Persian, Arabic and Indian scripts and in emoji; they do nothing else.
JOINERS = '\u200c\u200d'
NAME_LENGTH = 100


def visible(text: str) -> str:
    r"""Return a text in one line, with characters that cannot be seen as escapes.

    Control characters can move a terminal's cursor or end a line; formatting characters can make
    a text read in another order than it has. They become ``\n``, ``\x1b``, ``\u202e``.
    """
    if text.isprintable():
        return text
    return ''.join(
        char if char.isprintable() or char in JOINERS
        else char.encode('unicode_escape', 'surrogatepass').decode('ascii')
        for char in text
    )  # fmt: skip


def short(name: str, most: int = NAME_LENGTH) -> str:
    """Return a name, visible and of at most ``most`` characters; ``...`` shows what was cut."""
    text = visible(name[: most + 1])
    return text if len(text) <= most else f'{text[:most]}...'


def listed(names: Sequence[str], most: int) -> str:
    """Return the first names, each :func:`short`, and how many more there are."""
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(short(name) for name in names[:most]) + more


def is_text(value: object) -> bool:
    """Return whether a value is a string that is not empty and can be written as UTF-8."""
    if not isinstance(value, str) or not value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # a byte of a name that is not UTF-8, or half a character
        return False
    return True


def counted(number: int, noun: str) -> str:
    """Return ``1 epoch``, ``1,200 classes``, ``2 categories``: a number and a regular noun."""
    if number == 1:
        return f'1 {noun}'
    if noun.endswith('y'):
        return f'{number:,} {noun[:-1]}ies'
    return f'{number:,} {noun}' + ('es' if noun.endswith('s') else 's')


def format_hours(hours: float | None) -> str:
    """Format hours with a precision that suits three minutes as well as three days."""
    if hours is None:
        return ''
    if hours < 0.001:
        return '<0.001'
    return f'{hours:.3f}' if hours < 1 else f'{hours:.1f}'


def format_duration(seconds: float) -> str:
    """Format seconds as ``93 s``, ``12 min 5 s`` or ``31 h 4 min``."""
    whole = round(seconds)
    if whole < 120:
        return f'{whole} s'
    if whole < 7200:
        return f'{whole // 60} min {whole % 60} s'
    return f'{whole // 3600} h {whole % 3600 // 60} min'


def format_time(time: str) -> str:
    """Format an ISO 8601 time as ``2026-11-21 11:03 UTC``."""
    return datetime.fromisoformat(time).astimezone(UTC).strftime('%Y-%m-%d %H:%M UTC')
