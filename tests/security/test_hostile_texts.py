"""Strings in records that somebody else has written are shown, never obeyed."""

import csv
import io
from pathlib import Path

import pytest
from hostile_runs import SHA, TEXTS, record, run_folder
from html_structure import Structure
from markdown_it import MarkdownIt

from symmim_mm.results.collect import Collected, collect
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


def markdown(result: Collected) -> Structure:
    text = result.page.with_name('results.md').read_text(encoding='utf-8')
    return Structure(MarkdownIt('commonmark').enable('table').render(text))


def cells(page: Structure) -> list[str]:
    return [tag for tag in page.tags if tag in ('th', 'td', 'tr')]


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
    assert 'script' not in found.tags
    assert visible(page.replace('\n', '')) == page.replace('\n', '')
    assert '1337' not in page  # the template's 7 * 191

    rendered = markdown(result)
    assert set(rendered.tags) <= MARKDOWN_TAGS
    assert rendered.addresses == []
    assert cells(rendered) == cells(markdown(plain))

    table = result.page.with_name('results.csv').read_text(encoding='utf-8')
    lines = list(csv.reader(io.StringIO(table)))
    assert len({len(line) for line in lines}) == 1 and len(lines) == 3
    for cell in (cell for line in lines for cell in line):
        assert not cell.startswith(('=', '+', '-', '@', '\t', '\r'))
        assert visible(cell) == cell

    result.show()
    out = capsys.readouterr()
    for line in (out.out + out.err).split('\n'):
        assert visible(line) == line, ascii(line)
    assert name != 'rich markup' or '[bold red]' in out.out


def test_visible_keeps_what_can_be_seen() -> None:
    assert visible(TEXTS['alphabets']) == TEXTS['alphabets']
    assert visible('می\u200cخواهم') == 'می\u200cخواهم'
    assert visible('a\tb\n\x00\x7f\ud800\u202e') == 'a\\tb\\n\\x00\\x7f\\ud800\\u202e'
