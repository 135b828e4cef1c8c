"""Strings in records that somebody else has written are shown, never obeyed."""

import csv
import io
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hostile_runs import SHA, TEXTS, record, run_folder
from markdown_it import MarkdownIt

from symmim_mm.results.collect import Collected, collect, show
from symmim_mm.utils.text import visible

MARKDOWN_TAGS = {'h1', 'h2', 'h3', 'p', 'ul', 'li', 'em', 'strong', 'br',
                 'table', 'thead', 'tbody', 'tr', 'th', 'td'}  # fmt: skip


def texts_everywhere(folder: Path, text: str) -> Collected:
    """A pre-training, its transfer and a broken record, with a string in every free field."""
    named = dict(
        run=text, method=text, arch=text, dataset=text, config=text,
        hardware={'cpu': text, 'gpu': text, 'gpus': 1}, versions={text: text},
    )  # fmt: skip
    run_folder(folder / 'first', record(**named), text)
    transfer = named | dict(
        run='transfer', task='finetune', config_sha256=SHA[::-1], parent=text, backbone=text,
        backbone_sha256=SHA, metrics={'top1': 50.0},
        figures=['figures/' + text.replace('/', '_')[:200]],
    )  # fmt: skip
    run_folder(folder / 'second', record(**transfer), text)
    run_folder(folder / 'third', record(task=text))
    return collect([folder], folder.parent / 'out')


class Structure(HTMLParser):
    """Tags and names of attributes, in order, and where links and images lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found.append((tag, *(name for name, _ in attrs)))
        self.addresses += [value or '' for name, value in attrs if name in ('src', 'href')]

    def handle_decl(self, decl: str) -> None:
        self.found.append(('!', decl))

    def handle_comment(self, data: str) -> None:
        self.found.append(('--', data))

    def cells(self) -> list[str]:
        return [tag for tag, *_ in self.found if tag in ('th', 'td', 'tr')]


def markdown(result: Collected) -> Structure:
    text = result.page.with_name('results.md').read_text(encoding='utf-8')
    return Structure(MarkdownIt('commonmark').enable('table').render(text))


@pytest.fixture(scope='module')
def plain(tmp_path_factory: pytest.TempPathFactory) -> Collected:
    return texts_everywhere(tmp_path_factory.mktemp('plain') / 'runs', 'plain')


@pytest.mark.parametrize('name', TEXTS)
def test_every_output_shows_strings_as_strings(
    tmp_path: Path, plain: Collected, name: str, capsys: pytest.CaptureFixture
) -> None:
    """The structure of page, Markdown and CSV is that of a harmless string's."""
    result = texts_everywhere(tmp_path / 'runs', TEXTS[name])

    page = result.page.read_text(encoding='utf-8')
    found = Structure(page)
    assert found.found == Structure(plain.page.read_text()).found
    assert all(address.startswith(('#', 'data:image/png;base64,')) for address in found.addresses)
    assert 'script' not in {tag for tag, *_ in found.found}
    assert visible(page.replace('\n', '')) == page.replace('\n', '')
    assert '1337' not in page  # the template's 7 * 191

    rendered = markdown(result)
    assert {tag for tag, *_ in rendered.found} <= MARKDOWN_TAGS
    assert rendered.addresses == []
    assert rendered.cells() == markdown(plain).cells()

    table = result.page.with_name('results.csv').read_text(encoding='utf-8')
    lines = list(csv.reader(io.StringIO(table)))
    assert len({len(line) for line in lines}) == 1 and len(lines) == 3
    for cell in (cell for line in lines for cell in line):
        assert not cell.startswith(('=', '+', '-', '@', '\t', '\r'))
        assert visible(cell) == cell

    show(result)
    out = capsys.readouterr()
    for line in (out.out + out.err).split('\n'):
        assert visible(line) == line, ascii(line)
    assert name != 'rich markup' or '[bold red]' in out.out


def test_visible_keeps_what_can_be_seen() -> None:
    assert visible(TEXTS['alphabets']) == TEXTS['alphabets']
    assert visible('می\u200cخواهم') == 'می\u200cخواهم'
    assert visible('a\tb\n\x00\x7f\ud800\u202e') == 'a\\tb\\n\\x00\\x7f\\ud800\\u202e'
