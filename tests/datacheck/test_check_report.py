"""Printing and JSON of findings."""

import json
import os
from pathlib import Path

import pytest
from paths import ROOT

from symmim_mm.datacheck.kinds import LEVELS, MEANINGS, NOTICE, PROBLEM
from symmim_mm.datacheck.report import Report, check_writable, write_json
from symmim_mm.utils.errors import UserError


def test_lines(tmp_path: Path) -> None:
    report = Report('folder', '/data/images')
    report.fact('images', '1,234', number=1234)
    for name in ('b.jpg', 'c.jpg', 'a.jpg'):
        report.add('cut-off', name, 'JPEG 3 x 4')
    report.add('empty', 'd.jpg')
    report.add('rotated', 'e.jpg', 'orientation 6')
    assert list(report.lines(limit=2)) == [
        '/data/images',
        '  images: 1,234',
        '',
        '4 problems',
        f'  empty (1): {MEANINGS["empty"]}',
        '    d.jpg',
        f'  cut-off (3): {MEANINGS["cut-off"]}',
        '    a.jpg: JPEG 3 x 4',
        '    b.jpg: JPEG 3 x 4',
        '    and 1 more',
        '',
        '1 notice',
        f'  rotated (1): {MEANINGS["rotated"]}',
        '    e.jpg: orientation 6',
    ]
    assert report.summary() == '4 problems, 1 notice'
    assert (report.total(PROBLEM), report.total(NOTICE)) == (4, 1)
    assert '    and 3 more' in report.lines(limit=0)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit findings are counted only, and said to be so."""
    monkeypatch.setattr('symmim_mm.datacheck.report.KEPT', 3)
    report = Report('folder', 'x')
    for number in range(10):
        report.add('palette', f'{number}.png')
    assert len(report.findings['palette']) == 3 and report.summary() == 'no problems, 10 notices'
    assert '    and 7 more' in report.lines(limit=5)
    assert report.as_dict()['left_out'] == {'palette': 7}


def test_unknown_kind_is_a_defect() -> None:
    report = Report('folder', 'x')
    with pytest.raises(KeyError):
        report.add('no such kind', 'a.jpg')
    assert report.summary() == 'no problems'


def test_json(tmp_path: Path) -> None:
    report = Report('coco', tmp_path)
    report.fact('train2017', '3 images', images=3)
    report.add('rotated', 'a.jpg', 'orientation 6')
    report.add('empty', os.fsdecode(b'\xff.jpg'))
    path = tmp_path / 'deep' / 'report.json'
    check_writable(path)
    write_json(path, report, quick=False)
    assert json.loads(path.read_text()) == {
        'schema': 1,
        'check': 'coco',
        'root': str(tmp_path),
        'counts': {'train2017': {'images': 3}},
        'problems': 1,
        'notices': 1,
        'numbers': {'empty': 1, 'rotated': 1},
        'left_out': {},
        'findings': [
            {'level': 'problem', 'kind': 'empty', 'path': '\udcff.jpg', 'text': ''},
            {'level': 'notice', 'kind': 'rotated', 'path': 'a.jpg', 'text': 'orientation 6'},
        ],
        'quick': False,
    }
    assert [entry.name for entry in path.parent.iterdir()] == ['report.json']


def test_json_that_cannot_be_written(tmp_path: Path, run_check) -> None:
    """Refused before the check, not after it."""
    (tmp_path / 'file').write_text('')
    for path in (tmp_path, tmp_path / 'file' / 'x.json'):
        with pytest.raises(UserError, match='--json'):
            check_writable(path)
    with pytest.raises(UserError, match=f'^--json {tmp_path} is a folder: name a file$'):
        run_check('folder', tmp_path, '--json', tmp_path)


def test_document_names_every_kind() -> None:
    """docs/data.md has a row for each kind, with its level."""
    rows = {}
    for line in (ROOT / 'docs/data.md').read_text().splitlines():
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        if line.startswith('| `') and len(cells) == 3 and cells[1] in (PROBLEM, NOTICE):
            rows[cells[0].strip('`')] = cells[1]
    assert rows == {kind: level for level, kinds in LEVELS.items() for kind in kinds}


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['folder', 'nowhere'], 'nowhere does not exist'),
        (['folder', 'README.md'], 'README.md is a file'),
        (['folder', 'docs', '--workers', '0'], '--workers must be 1 or more'),
        (['folder', 'docs', '--max-pixels', '0'], '--max-pixels must be 1 or more'),
        (['folder', 'docs', '--limit', '-1'], '--limit must be 0 or more'),
        (['imagenet', 'docs', '--classes', '0'], '--classes 0 is neither a number'),
        (['imagenet', 'docs', '--classes', 'none.txt'], '--classes none.txt is neither'),
        (['folder', 'docs', '--state', 'docs'], '--state docs cannot be used'),
    ],
)
def test_mistakes(run_check, monkeypatch, arguments: list[str], message: str) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=f'^{message}'):
        run_check(*arguments)
