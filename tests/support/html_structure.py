"""What a page consists of, apart from its text."""

from html.parser import HTMLParser

EMPTY = ('meta', 'img', 'br', 'line', 'circle', 'polyline')


class Structure(HTMLParser):
    """Tags, with the names of their attributes, and where links and images lead, all in order.

    Tags are closed in order; ``open`` are those that are not closed at all.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.found: list[tuple] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.found.append((tag, *(name for name, _ in attrs)))
        self.addresses += [value or '' for name, value in attrs if name in ('src', 'href')]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in EMPTY:
            assert self.open.pop() == tag

    def handle_decl(self, decl: str) -> None:
        self.found.append(('!', decl))

    def handle_comment(self, data: str) -> None:
        self.found.append(('--', data))
