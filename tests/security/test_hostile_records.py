"""Folders of runs that somebody else has filled: their numbers, their links, their sizes."""

import base64
import json
import os
import zlib
from pathlib import Path

import pytest
from hostile_runs import record, run_folder
from image_samples import png_of_size
from PIL import Image

from symmim_mm.results.collect import collect
from symmim_mm.results.record import Record
from symmim_mm.utils.errors import UserError

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
@pytest.mark.parametrize('what', ['figures', 'curve'])
def test_nothing_outside_of_a_run_is_read(tmp_path: Path, what: str, way: str) -> None:
    secret = secrets(tmp_path / 'secret')
    target = secret / ('0.png' if what == 'figures' else 'curve.jsonl')
    names = {
        '..': f'../../secret/{target.name}',
        'absolute': str(target),
        'link': 'there',
        'linked folder': f'away/{target.name}',
        'hard to see': f'figures/../../../secret/{target.name}',
    }
    name = names[way]
    run = run_folder(tmp_path / 'runs' / 'run',
                     record(**{what: [name] if what == 'figures' else name}))  # fmt: skip
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


def test_pipes_and_devices_are_neither_curves_nor_images(tmp_path: Path) -> None:
    run = run_folder(tmp_path / 'run', record(curve='pipe', figures=['figures', 'pipe', 'zero']))
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


def bomb(width: int, height: int) -> bytes:
    """A black PNG, a bit a pixel: a few kilobytes for any size."""
    rows = zlib.compressobj(9)
    line = bytes(1 + (width + 7) // 8)
    data = b''.join(rows.compress(line * 1000) for _ in range(height // 1000)) + rows.flush()
    return png_of_size(width, height, depth=1, color=0, data=data)


def test_images_that_grow_when_they_are_read(tmp_path: Path) -> None:
    names = ['bomb.png', 'huge.png', 'large.png', 'x.png']
    run = run_folder(tmp_path / 'run', record(figures=names))
    (run / 'bomb.png').write_bytes(bomb(8000, 8000))
    (run / 'huge.png').write_bytes(bomb(20000, 20000))
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
    with pytest.raises(UserError, match='Invalid JSON'):
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
