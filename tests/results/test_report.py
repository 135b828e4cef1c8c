"""The report page and the command that writes it."""

import base64
import html
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from html_structure import Structure
from make_runs import record, write
from paths import ROOT
from PIL import Image

from symmim_mm.results.collect import collect
from symmim_mm.results.page.chart import Series, chart, thin
from symmim_mm.results.page.curves import read_curve
from symmim_mm.results.record import Record


def suite(folder: Path) -> Path:
    for method in ('symmim', 'mae'):
        write(folder, record(method, 'pretrain'), figures=2)
        write(folder, record(method, 'finetune', chance={'top1': 10.0}))
        write(folder, record(method, 'detection'), figures=2)
    return folder


def test_page_is_complete_and_needs_nothing_from_outside(tmp_path):
    result = collect([suite(tmp_path / 'runs')], tmp_path / 'out')
    assert (result.unreadable, result.problems, result.notes) == ([], [], [])
    files = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert files == ['index.html', 'results.csv', 'results.md']
    text = result.page.read_text()
    page = Structure(text)
    assert page.open == []
    assert all(address.startswith(('#', 'data:image/png;base64,')) for address in page.addresses)
    assert not re.search(r'url\(|@import|https?://', text)
    assert page.tags.count('img') == 2 * 2 * 2
    assert page.tags.count('svg') == 4  # three losses and one validation metric
    assert page.tags.count('polyline') == 8
    assert record('mae', 'detection').config_sha256 in text
    assert '--seed 0 --backbone' in text and 'symmim train configs/finetune.py' in text


def test_the_page_does_not_change_when_made_again(tmp_path):
    suite(tmp_path / 'runs')
    first = collect([tmp_path / 'runs'], tmp_path / 'runs/report').page.read_bytes()
    assert collect(str(tmp_path / 'runs')).page.read_bytes() == first


def test_missing_and_broken_pieces_are_one_line_each(tmp_path):
    folder = suite(tmp_path / 'runs')
    (folder / 'symmim-pretrain-seed0/figures/0.png').unlink()
    (folder / 'mae-detection-seed0/figures/1.png').write_bytes(b'GIF89a')
    (folder / 'mae-finetune-seed0/20260101_000000/vis_data/scalars.json').write_text('{"loss"')
    (folder / 'mae-pretrain-seed0/result.json').write_text('{')
    result = collect([folder], tmp_path / 'out')
    assert len(result.problems) == 3 and len(result.unreadable) == 1
    text = result.page.read_text()
    for line in (*result.problems, *result.unreadable):
        assert '\n' not in line
    assert text.count('no image') == 2 and 'mae-pretrain-seed0/result.json: not a valid' in text
    # Images are matched by name: the broken one leaves a gap, the others stay.
    assert Structure(text).tags.count('img') == 2 * 2 + 2 - 2


def test_wide_images_are_made_narrower(tmp_path):
    """They are those of the lowest seed that has any."""
    write(tmp_path / 'runs', record('symmim', 'pretrain'))
    run = write(tmp_path / 'runs', record('symmim', 'pretrain', seed=1), figures=1)
    Image.new('RGB', (1600, 400)).save(run / 'figures/0.png')
    text = collect([tmp_path / 'runs'], tmp_path / 'out').page.read_text()
    data = re.search(r'data:image/png;base64,([^"]+)', text)[1]
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (720, 180)


def test_health_of_a_pretraining_is_drawn_in_small(tmp_path):
    run = write(tmp_path / 'runs', record('symmim', 'pretrain'))
    write(tmp_path / 'runs', record('mae', 'pretrain'))
    with open(next(run.glob('*/vis_data/scalars.json')), 'a') as file:
        for step in (0, 20):
            file.write(json.dumps({'health/rank': 3.0 + step, 'step': step}) + '\n')
            file.write(json.dumps({'health/gradient_ratio': 0.5, 'step': step}) + '\n')
    text = collect([tmp_path / 'runs'], tmp_path / 'out').page.read_text()
    page = Structure(text)
    assert page.open == [] and page.tags.count('svg') == 3 and page.tags.count('polyline') == 4
    assert 'Effective rank' in text and 'Contrast: accuracy' not in text
    assert 'viewBox="0 0 260 170"' in text


def test_validation_values_are_percent(tmp_path):
    path = tmp_path / 'scalars.json'
    path.write_text('{"coco/bbox_mAP": 0.25, "step": 2}\n{"loss": NaN, "step": 1}\n\n')
    curve = read_curve(path, {'AP': ('coco/bbox_mAP', 100.0), 'Loss': ('loss', 1.0)})
    assert curve == {'AP': [(2.0, 25.0)], 'Loss': []}


def test_thin_keeps_the_ends_and_the_mean():
    points = [(float(x), float(x % 7)) for x in range(1000)]
    few = thin(points)
    assert len(few) <= 160 and few[-1] == points[-1]
    assert few[0] == (3.0, 3.0)  # seven points 0..6
    assert thin(points[:50]) == points[:50]


@pytest.mark.parametrize(
    'values',
    [[1.0], [0.0, 0.0], [5.0, 5.0], [1e-6, 1e4], [-3, 8.0], [0.02, 0.9, 0.05], [99999.0, 123456]],
)
def test_every_point_lies_inside_the_chart(values):
    svg = chart([Series('<&>', 0, [(float(x), y) for x, y in enumerate(values, 1)])], 'x', 'loss')
    for pair in re.search(r'points="([^"]+)"', svg)[1].split():
        x, y = map(float, pair.split(','))
        assert 52 <= x <= 508 and 12 <= y <= 222
    assert '&lt;&amp;&gt;' in svg
    assert chart([Series('none', 0, [])], 'x', 'loss') == ''


@pytest.mark.parametrize('task', ['pretrain', 'segmentation'])
def test_the_page_of_one_run(task: str, tmp_path: Path) -> None:
    """No table without a value; what was found; overviews as wide as the page; what to do next."""
    run = write(tmp_path, record('random', task, findings=['two <images> are alike']), figures=1)
    found = Record.read(run / 'result.json')
    Image.new('RGB', (1500, 600)).save(run / 'figures/map.png')
    found.figures.append('figures/map.png')
    found.write(run)
    text = collect([run]).page.read_text()
    assert ('<table class="compare">' in text) == (task != 'pretrain')
    assert 'two &lt;images&gt; are alike' in text
    sizes = [
        Image.open(io.BytesIO(base64.b64decode(data))).size
        for data in re.findall(r'data:image/png;base64,([^"]+)', text)
    ]
    assert sizes == [(24, 8), (1440, 576)]
    commands = re.findall('<pre class="copy">(.*)</pre>', text)
    first = {
        'pretrain': f'symmim export {run}/last.pth encoder --format timm',
        'segmentation': f'symmim predict {run} IMAGES',
    }
    assert commands[0] == first[task]


def test_the_commands_have_the_options_of_the_runs(tmp_path: Path) -> None:
    run = write(tmp_path, record('symmim', 'finetune'))
    found = Record.read(run / 'result.json')
    found.backbone = 'weights.pth'
    found.overrides = ['--amp=True', '--branch=momentum', 'model.arch=b', 'recipe.epochs=12']
    found.write(run)
    text = html.unescape(collect([run]).page.read_text())
    assert '--backbone' in text
    assert '--amp --branch momentum --cfg-options model.arch=b recipe.epochs=12' in text
    found.backbone_in_config = True
    found.write(run)
    assert '--backbone' not in collect([run]).page.read_text()


def command(*words: str, cwd: Path) -> subprocess.CompletedProcess:
    tool = [sys.executable, str(ROOT / 'tools/collect_results.py'), *words]
    return subprocess.run(tool, cwd=cwd, capture_output=True, text=True)


def test_the_command(tmp_path):
    done = command('runs', cwd=suite(tmp_path / 'runs').parent)
    assert done.returncode == 0, done.stderr
    assert 'SymMIM' in done.stdout and done.stdout.endswith('report: runs/report/index.html\n')
    assert (tmp_path / 'runs/report/results.csv').is_file()

    (tmp_path / 'runs/mae-finetune-seed0/result.json').write_text('{}')
    done = command('runs', '--out', 'elsewhere', cwd=tmp_path)
    assert done.returncode == 1 and 'warning: runs/mae-finetune-seed0/result.json' in done.stderr
    assert (tmp_path / 'elsewhere/index.html').is_file()

    for folder in ('none', 'empty'):
        (tmp_path / 'empty').mkdir(exist_ok=True)
        done = command(folder, cwd=tmp_path)
        assert done.returncode == 2 and done.stdout == ''
        assert done.stderr.startswith('error: ') and done.stderr.count('\n') == 1
    assert 'no result to collect' in done.stderr and not (tmp_path / 'empty/report').exists()
