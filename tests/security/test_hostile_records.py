"""Folders of runs that somebody else has filled: their texts, their numbers, their links."""

import base64
import csv
import io
import json
import os
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from PIL import Image

from symmim_mm.errors import UserError
from symmim_mm.results.collect import Collected, collect, show
from symmim_mm.results.record import Record
from symmim_mm.shown_text import visible

SHA = 'abcdef' * 10 + '0123'
TEXTS = {
    'script': '<script>alert(1)</script>',
    'attribute': '" onmouseover="alert(1)" x="',
    'single quote': "' autofocus onfocus='alert(1)",
    'closing tags': '</title></style></svg></pre><img src=http://a.example/x>',
    'template': '{{ 7 * 191 }}{% include "/etc/passwd" %}',
    'entity': '&lt;script&gt; &#x3c;',
    'markdown link': '[x](javascript:alert(1)) ![y](http://a.example/y.png) `z` *bold*',
    'table': 'a | b \\| c\n| d |\n# head\n---',
    'formula': '=HYPERLINK("http://a.example","x")',
    'formula after a sign': '-2+3+cmd|\' /C calc\'!A0',
    'new lines': 'a\nb\r\nc\u2028d',
    'terminal': 'a\x1b[2J\x1b]0;title\x07b\x9b1m',
    'other direction': 'a\u202egnp.exe\u2066',
    'alphabets': 'опыт 実験 تجربة 🧪 e\u0301',
    'rich markup': '[bold red]x[/] [link=http://a.example]y[/link]',
    'shell': '$(touch x); `touch x` && rm -rf ~ #',
    'long': 'x' * 5000,
}


def record(**changes: object) -> dict:
    values = dict(
        schema=1, run='run', method='method', arch='arch', task='pretrain', dataset='data',
        config='configs/x.py', config_sha256=SHA, checkpoint='last.pth', checkpoint_sha256=SHA,
        backbone=None, backbone_sha256=None, parent=None, seed=0, metrics={'loss': 0.5}, chance={},
        curve='curve.jsonl', pictures=['pictures/0.png'],
        hardware={'cpu': 'cpu', 'cores': 2, 'gpu': 'gpu', 'gpus': 1, 'world_size': 2},
        versions={'torch': '2'}, images=1, duration_s=1.0, peak_memory_mib=1.0,
        started='2026-01-01T00:00:00+00:00', finished='2026-01-01T01:00:00+00:00',
    )  # fmt: skip
    return values | changes


def run_folder(folder: Path, values: dict, text: str = 'x') -> Path:
    folder.mkdir(parents=True)
    (folder / 'pictures').mkdir()
    Image.new('RGB', (24, 8), (200, 30, 30)).save(folder / 'pictures' / '0.png')
    lines = [dict(step=step, loss=1 / step, note=text) for step in range(1, 9)]
    (folder / 'curve.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    (folder / 'result.json').write_text(json.dumps(values))
    return folder


def texts_everywhere(folder: Path, text: str) -> Collected:
    """A pre-training, its transfer and a broken record, with a text in every free field."""
    named = dict(run=text, method=text, arch=text, dataset=text, config=text,
                 hardware={'cpu': text, 'gpu': text, 'gpus': 1}, versions={text: text})
    run_folder(folder / 'first', record(**named), text)
    transfer = dict(named, run='transfer', task='finetune', config_sha256=SHA[::-1], parent=text,
                    backbone=text, backbone_sha256=SHA, metrics={'top1': 50.0},
                    pictures=['pictures/' + text.replace('/', '_')[:200]])
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


SECRET = 'a secret of this machine'


def secrets(folder: Path) -> Path:
    """Files outside of every run, of the kinds a report would take in."""
    folder.mkdir()
    (folder / 'text').write_text(SECRET)
    (folder / 'curve.jsonl').write_text(
        ''.join(json.dumps(dict(step=step, loss=777777.0 + step)) + '\n' for step in range(9))
    )
    Image.new('RGB', (31, 17), (1, 2, 3)).save(folder / '0.png')
    (folder / 'result.json').write_text(json.dumps(record(run=SECRET)))
    return folder


def no_secret_in(folder: Path, secret: Path) -> None:
    png = base64.b64encode((secret / '0.png').read_bytes()).decode()
    for file in folder.iterdir():
        text = file.read_text(encoding='utf-8')
        assert SECRET not in text and png not in text and '77777' not in text, file


@pytest.mark.parametrize('way', ['..', 'absolute', 'link', 'linked folder', 'hard to see'])
@pytest.mark.parametrize('what', ['pictures', 'curve'])
def test_nothing_outside_of_a_run_is_read(tmp_path: Path, what: str, way: str) -> None:
    secret = secrets(tmp_path / 'secret')
    target = secret / ('0.png' if what == 'pictures' else 'curve.jsonl')
    names = {
        '..': f'../../secret/{target.name}',
        'absolute': str(target),
        'link': 'there',
        'linked folder': f'away/{target.name}',
        'hard to see': f'pictures/../../../secret/{target.name}',
    }
    name = names[way]
    run = run_folder(tmp_path / 'runs' / 'run',
                     record(**{what: [name] if what == 'pictures' else name}))  # fmt: skip
    (run / 'there').symlink_to(target)
    (run / 'away').symlink_to(secret)
    if way in ('link', 'linked folder'):
        result = collect([tmp_path / 'runs'], tmp_path / 'out')
        assert len(result.problems) == 1 and 'lies outside of its folder' in result.problems[0]
        no_secret_in(tmp_path / 'out', secret)
    else:
        with pytest.raises(UserError, match='below the run directory'):
            collect([tmp_path / 'runs'], tmp_path / 'out')
        assert not (tmp_path / 'out').exists()


def test_links_are_no_records(tmp_path: Path) -> None:
    secret = secrets(tmp_path / 'secret')
    good = run_folder(tmp_path / 'runs' / 'good', record())
    for name, target in (
        ('text', secret / 'text'), ('record', secret / 'result.json'), ('folder', secret),
        ('endless', Path('/dev/zero')), ('nowhere', tmp_path / 'none'), ('self', 'result.json'),
    ):  # fmt: skip
        (tmp_path / 'runs' / name).mkdir()
        (tmp_path / 'runs' / name / 'result.json').symlink_to(target)
    (tmp_path / 'runs' / 'tree').symlink_to(secret)
    (tmp_path / 'runs' / 'around').symlink_to(tmp_path / 'runs')
    (tmp_path / 'runs' / 'pipe').mkdir()
    os.mkfifo(tmp_path / 'runs' / 'pipe' / 'result.json')  # opening it would wait for ever
    result = collect([tmp_path / 'runs'], tmp_path / 'out')
    assert len(result.unreadable) == 6, result.unreadable
    assert [cell.records[0].run for table in result.tables for row in table.rows
            for cell in (row.pretrain,)] == ['run']  # fmt: skip
    no_secret_in(tmp_path / 'out', secret)
    # A run that is itself reached through a link is the user's own doing.
    (tmp_path / 'link').symlink_to(good)
    assert len(collect([tmp_path / 'link'], tmp_path / 'out2').tables) == 1


def test_pipes_and_devices_are_neither_curves_nor_pictures(tmp_path: Path) -> None:
    run = run_folder(tmp_path / 'run', record(curve='pipe', pictures=['pictures', 'pipe', 'zero']))
    os.mkfifo(run / 'pipe')
    (run / 'zero').symlink_to('/dev/zero')
    assert len(collect([run], tmp_path / 'out').problems) == 4


def test_the_report_of_a_folder_is_not_written_through_a_link(tmp_path: Path) -> None:
    run = run_folder(tmp_path / 'run', record())
    (tmp_path / 'website').mkdir()
    (tmp_path / 'website' / 'index.html').write_text('mine')
    (run / 'report').symlink_to(tmp_path / 'website')
    with pytest.raises(UserError, match='is a link: name the folder'):
        collect([run])
    collect([run], tmp_path / 'out')
    assert (tmp_path / 'website' / 'index.html').read_text() == 'mine'


def png_of(width: int, height: int) -> bytes:
    """A picture of zeros, a bit each: a few kilobytes for any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', check)

    rows = zlib.compressobj(9)
    line = bytes(1 + (width + 7) // 8)
    data = b''.join(rows.compress(line * 1000) for _ in range(height // 1000)) + rows.flush()
    head = struct.pack('>IIBBBBB', width, height, 1, 0, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', data) + chunk(b'IEND', b'')


def test_pictures_that_grow_when_they_are_read(tmp_path: Path) -> None:
    names = ['bomb.png', 'huge.png', 'large.png', 'x.png']
    run = run_folder(tmp_path / 'run', record(pictures=names))
    (run / 'bomb.png').write_bytes(png_of(8000, 8000))
    (run / 'huge.png').write_bytes(png_of(20000, 20000))
    with open(run / 'large.png', 'wb') as file:
        file.truncate(1 << 33)
    Image.new('RGB', (4, 4)).save(run / 'x.png', 'GIF')
    result = collect([run], tmp_path / 'out')
    words = ('8000 x 8000 pixels', 'not a readable PNG', 'more than', 'not a readable PNG')
    assert len(result.problems) == 4
    for line, word in zip(result.problems, words, strict=True):
        assert word in line
    assert result.page.stat().st_size < 100_000


NUMBERS = {
    'not a number': 'NaN', 'infinite': '-Infinity', 'large': '1e400', 'long': '9' * 400,
    'longer': '9' * 5000, 'negative': '-1', 'text': '"1"', 'true': 'true', 'list': '[]',
    'deep': '[' * 100_000 + ']' * 100_000, 'nothing': 'null',
}  # fmt: skip


@pytest.mark.parametrize('number', NUMBERS)
def test_numbers_that_are_none(tmp_path: Path, number: str) -> None:
    """Each is one line, or is taken and does no harm."""
    inside = {'metrics': 'top1', 'chance': 'top1', 'hardware': 'gpus', 'versions': 'torch'}
    folder = run_folder(tmp_path / 'run', {})
    taken = set()
    alone = ('seed', 'images', 'duration_s', 'started', 'finished', 'peak_memory_mib')
    for field in (*alone, *inside):
        value = {inside[field]: '@'} if field in inside else '@'
        text = json.dumps(record(task='finetune', method='random', **{field: value}))
        (folder / 'result.json').write_text(text.replace('"@"', NUMBERS[number]))
        try:
            collect([folder], tmp_path / 'out')
        except UserError as error:
            assert len(str(error)) < 600
        else:
            taken.add(field)
    assert taken == {
        'negative': {'seed'}, 'nothing': {'images', 'peak_memory_mib', 'hardware'},
        'text': {'versions'},
    }.get(number, set())  # fmt: skip


@pytest.mark.parametrize(
    'moment', ['0001-01-01T00:00:00+23:00', '9999-12-31T23:59:59-23:00', '2026-01-01', '2026',
               '2026-01-01T00:00:00', '2026-13-01T00:00:00Z'],
)  # fmt: skip
def test_moments_at_the_edge(tmp_path: Path, moment: str) -> None:
    folder = run_folder(tmp_path / 'run', record(finished=moment))
    with pytest.raises(UserError, match='ISO 8601'):
        collect([folder], tmp_path / 'out')


def test_a_record_of_many_bytes_or_half_characters(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / 'run', record())
    with open(folder / 'result.json', 'r+b') as file:
        file.truncate(1 << 34)
    with pytest.raises(UserError, match='more than'):
        Record.read(folder / 'result.json')
    (folder / 'result.json').write_text(json.dumps(record(run='\ud800')))
    with pytest.raises(UserError, match='not a JSON file'):
        Record.read(folder / 'result.json')


def test_curves_of_extreme_values(tmp_path: Path) -> None:
    lines = [dict(step=1, loss=5e-324), dict(step=2, loss=1e99), dict(step=-1e99, loss=1.0),
             dict(step=3, loss=0), dict(step=True, loss=1), dict(step=4, loss=[])]  # fmt: skip
    text = ''.join(json.dumps(line) + '\n' for line in lines)
    text += f'{{"step": 5, "loss": {"9" * 400}}}\n'
    folder = run_folder(tmp_path / 'run', record())
    (folder / 'curve.jsonl').write_text(text)
    assert collect([folder], tmp_path / 'out').problems == []
    (folder / 'curve.jsonl').write_text('[' * 100_000)
    assert len(collect([folder], tmp_path / 'out').problems) == 1
