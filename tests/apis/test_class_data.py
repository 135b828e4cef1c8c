"""Images with classes as users have them: parts, folders that are no classes, lists."""

import os
from pathlib import Path

import pytest
from own_data import write

from symmim_mm.apis.own_data.class_data import Default, choose_parts, open_labeled
from symmim_mm.apis.own_data.finetune import finetune
from symmim_mm.apis.own_data.pretrain import pretrain, write_lists
from symmim_mm.cli import own_data as commands
from symmim_mm.datasets.survey import survey
from symmim_mm.utils.errors import UserError


def read(folder: Path, content: str | bytes, name: str = 'list.txt') -> dict[str, int]:
    """Write a list next to images and return the number of each image in what is trained."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    found = open_labeled(folder / name, folder / 'written.txt')
    lines = (folder / 'written.txt').read_text().splitlines()
    pairs = [line.rsplit(' ', 1) for line in lines]
    return {path: found.classes[int(number)] for path, number in pairs}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ('a.png', 'b c.png', 'd,e.png', 'f.png'):
        write(tmp_path / 'images' / name, 5)
    return tmp_path / 'images'


@pytest.mark.parametrize(
    ('found', 'val', 'part'),
    [
        (('train', 'val', 'test'), Default.VAL, 'val'),
        (('train', 'valid', 'test'), Default.VAL, 'valid'),
        (('train', 'validation'), Default.VAL, 'validation'),
        (('train', 'test'), Default.VAL, 'test'),
        (('train', 'test'), 'other', 'other'),
        (('train', 'val'), 0.3, 0.3),
        (('train', 'val'), None, None),
        (('cat', 'test'), Default.VAL, 0.2),
        (('cat', 'dog'), 0.4, 0.4),
    ],
)
def test_parts(found: tuple[str, ...], val: object, part: object, tmp_path: Path) -> None:
    for name in found:
        (tmp_path / name).mkdir()
    source, chosen, lines = choose_parts(tmp_path, val, 0.2)
    assert source == (tmp_path / 'train' if 'train' in found else tmp_path)
    assert chosen == (tmp_path / part if part in found else part)
    said = 'is not used' if val in (0.3, None) else 'measured' if part in found else ''
    assert said in ''.join(lines) and bool(said) == bool(lines)


@pytest.mark.parametrize('found', [('train',), ('val', 'test'), ('Train', 'Test'), ('training',)])
def test_parts_that_are_no_classes(found: tuple[str, ...], tmp_path: Path) -> None:
    for name in (*found, '.cache'):
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match='which are no classes: call them train and val, or name'):
        finetune(tmp_path, out=tmp_path / 'out')


def test_what_is_typed_goes_before_the_folders() -> None:
    """Only without ``--val`` is the function's own default in force."""
    parser = commands.COMMANDS['finetune'].build_parser('symmim finetune')
    assert parser.parse_args(['data']).val is None
    assert parser.parse_args(['data', '--val', '0.2']).val == ['0.2']
    assert 'default: val/ or test/ next to train/, or 0.2' in ' '.join(parser.format_help().split())


@pytest.mark.parametrize(
    ('path', 'message'),
    [
        ('.ipynb_checkpoints/', 'is hidden'),
        ('.cache/0.png', 'is hidden'),
        ('bird/', 'has no images'),
        ('bird/0.heic', 'has no images'),
    ],
)
def test_folders_that_are_no_classes(path: str, message: str, classes: Path) -> None:
    (classes / path).parent.mkdir(exist_ok=True)
    (classes / path).mkdir() if path.endswith('/') else write(classes / 'a.png', 1)
    if not path.endswith('/'):
        (classes / 'a.png').rename(classes / path)
    with pytest.raises(UserError, match=f'{path.split("/")[0]} {message}, and every folder is a'):
        open_labeled(classes, classes / 'written.txt')


@pytest.mark.parametrize(
    ('lines', 'expected'),
    [
        (['a.png polar bear', 'f.png x'], None),
        (['a.png,polar bear', 'f.png,x'], {'a.png': 'polar bear', 'f.png': 'x'}),
        (['a.png\tx, y', 'f.png\tx'], {'a.png': 'x, y', 'f.png': 'x'}),
        (['b c.png x', 'd,e.png y'], {'b c.png': 'x', 'd,e.png': 'y'}),
        (['d,e.png\tx', 'b c.png,y'], {'d,e.png': 'x', 'b c.png': 'y'}),
        (['\ufeffa.png x', '', 'f.png y\r'], {'a.png': 'x', 'f.png': 'y'}),
        (['./a.png x', 'a.png x', 'f.png y'], {'a.png': 'x', 'f.png': 'y'}),
        (['../images/a.png x', 'f.png y'], {'../images/a.png': 'x', 'f.png': 'y'}),
    ],
)
def test_lines_of_lists(lines: list[str], expected: dict[str, str] | None, images: Path) -> None:
    if expected is None:
        with pytest.raises(UserError, match='line 1: no such image'):
            read(images, '\n'.join(lines))
    else:
        assert read(images, '\n'.join(lines)) == expected


def test_tables(images: Path) -> None:
    expected = {'a.png': 'polar bear', 'd,e.png': 'x, y'}
    assert read(images, '"a.png","polar bear"\n"d,e.png", "x, y"\n', 'l.csv') == expected
    assert read(images, 'a.png,polar bear\n\n"d,e.png","x, y"', 'l.CSV') == expected
    assert read(images, 'a.png x\nb c.png y\n', 'l.csv') == {'a.png': 'x', 'b c.png': 'y'}
    for content, message in (
        ('a.png,x\nf.png,y,3\n', 'line 2: not a path and a class'),
        ('a.png,x\n"f.png,y\n' + 'b c.png,y\n' * 20000, 'field larger than .*: close its quotes'),
    ):
        with pytest.raises(UserError, match=message):
            read(images, content, 'l.csv')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (
            'path,class\na.png,x\nf.png,y\n',
            'line 1: no such image: .*path; if the line is a header',
        ),
        ('path,class\nno.png,x\n', r'line 1: no such image: [^;]*path$'),
        ('a.png x\nf.png y\n./a.png y\n', 'line 3: a.png has the class y, and in a line before x'),
        ('a.png café\n'.encode('latin-1'), 'is no text in UTF-8'),
        ('a.png x\nno.png x', 'line 2: no such image'),
        ('a.png', 'line 1: not a path and a class'),
        ('a.png x\nf.png x', 'has 1 class, and a classifier needs two'),
        ('', 'has 0 class'),
        (b'PK\x03\x04\xff\xfe' * 20, 'is no text in UTF-8'),
        ('a.png\tx\nf.png'.encode('utf-16'), 'is no text in UTF-8'),
    ],
)
def test_lists_of_something_else(content: str | bytes, message: str, images: Path) -> None:
    for name in ('list.txt', 'list.csv'):
        with pytest.raises(UserError, match=message):
            read(images, content, name)


@pytest.mark.parametrize('name', [b'caf\xe9.png', b'two\nlines.png'])
def test_names_that_no_list_can_hold(name: bytes, images: Path) -> None:
    (images / 'a.png').rename(os.fsdecode(os.fsencode(images) + b'/' + name))
    with pytest.raises(UserError, match='is not UTF-8 in one line: rename') as caught:
        write_lists(survey(images, sample=0), images / 'plan')
    assert str(caught.value).isprintable()


@pytest.mark.parametrize('name', [b'caf\xe9', b'two\nlines'])
def test_folders_that_no_config_can_hold(name: bytes, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b'/' + name))
    for function in (pretrain, finetune):
        for data, out in ((odd, tmp_path), (tmp_path, odd)):
            with pytest.raises(UserError, match='is not UTF-8 in one line: rename'):
                function(data, out=out)
