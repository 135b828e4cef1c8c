"""Texts in records that somebody else has written are shown, never obeyed."""

import csv
import io
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hostile_runs import SHA, TEXTS, record, run_folder
from markdown_it import MarkdownIt

from symmim_mm.results.collect import Collected, collect, show
from symmim_mm.utils.text import visible


def texts_everywhere(folder: Path, text: str) -> Collected:
    """A pre-training, its transfer and a broken record, with a text in every free field."""
    named = dict(
        run=text,
        method=text,
        arch=text,
        dataset=text,
        config=text,
        hardware={'cpu': text, 'gpu': text, 'gpus': 1},
        versions={text: text},
    )
    run_folder(folder / 'first', record(**named), text)
    transfer = dict(
        named,
        run='transfer',
        task='finetune',
        config_sha256=SHA[::-1],
        parent=text,
        backbone=text,
        backbone_sha256=SHA,
        metrics={'top1': 50.0},
        pictures=['pictures/' + text.replace('/', '_')[:200]],
    )
    run_folder(folder / 'second', record(**transfer), text)
    run_folder(folder / 'third', record(task=text))
    return collect([folder], folder.parent / 'out')


class Structure(HTMLParser):
    """Tags and names of attributes, in order, and where links and pictures lead."""

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


@pytest.mark.parametrize('name', TEXTS)
def test_the_page_has_the_same_structure_whatever_the_texts_say(tmp_path: Path, name: str) -> None:
    plain = texts_everywhere(tmp_path / 'plain', 'plain').page.read_text()
    page = texts_everywhere(tmp_path / 'hostile', TEXTS[name]).page.read_text(encoding='utf-8')
    found = Structure(page)
    assert found.found == Structure(plain).found
    assert all(address.startswith(('#', 'data:image/png;base64,')) for address in found.addresses)
    assert 'script' not in {tag for tag, *_ in found.found}
    assert visible(page.replace('\n', '')) == page.replace('\n', '')
    assert '1337' not in page


@pytest.mark.parametrize('name', TEXTS)
def test_markdown_shows_texts_as_texts(tmp_path: Path, name: str) -> None:
    def rendered(text: str) -> str:
        file = texts_everywhere(tmp_path / text[:3].strip('./'), text).page.with_name('results.md')
        return MarkdownIt('commonmark').enable('table').render(file.read_text(encoding='utf-8'))

    plain, page = Structure(rendered('plain')), Structure(rendered(TEXTS[name]))
    allowed = {'h1', 'h2', 'h3', 'p', 'ul', 'li', 'em', 'strong', 'br',
               'table', 'thead', 'tbody', 'tr', 'th', 'td'}  # fmt: skip
    assert {tag for tag, *_ in page.found} <= allowed
    assert page.addresses == []
    cells = [[tag for tag, *_ in item.found if tag in ('th', 'td', 'tr')] for item in (plain, page)]
    assert cells[0] == cells[1]


@pytest.mark.parametrize('name', TEXTS)
def test_csv_holds_no_formulas(tmp_path: Path, name: str) -> None:
    file = texts_everywhere(tmp_path / 'runs', TEXTS[name]).page.with_name('results.csv')
    lines = list(csv.reader(io.StringIO(file.read_text(encoding='utf-8'))))
    assert len({len(line) for line in lines}) == 1 and len(lines) == 3
    for cell in (cell for line in lines for cell in line):
        assert not cell.startswith(('=', '+', '-', '@', '\t', '\r'))
        assert visible(cell) == cell


@pytest.mark.parametrize('name', TEXTS)
def test_the_terminal_gets_no_commands(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture
) -> None:
    show(texts_everywhere(tmp_path / 'runs', TEXTS[name]))
    out = capsys.readouterr()
    for line in (out.out + out.err).split('\n'):
        assert visible(line) == line, ascii(line)
    assert name != 'rich markup' or '[bold red]' in out.out


def test_visible_keeps_what_can_be_seen() -> None:
    assert visible(TEXTS['alphabets']) == TEXTS['alphabets']
    assert visible('می\u200cخواهم') == 'می\u200cخواهم'
    assert visible('a\tb\n\x00\x7f\ud800\u202e') == 'a\\tb\\n\\x00\\x7f\\ud800\\u202e'
