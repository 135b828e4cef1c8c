"""Texts of others, as they are safe to show on a terminal, a page and in a table."""

# These join letters in Persian, Arabic and Indian scripts and in emoji; they do nothing else.
JOINERS = '\u200c\u200d'


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
