"""From a folder to a page, as a user calls it."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from tiny_models import backbone_weights, vit

from symmim_mm.apis.own_data.pretrain import METHODS, pretrain
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.results import collect as results
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import write_atomic

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def folder(sample_data: Path) -> Path:
    return sample_data / 'imagenet'  # 60 images of 64 pixels, in train/ and val/


@pytest.mark.parametrize('method', METHODS)
def test_from_a_folder_to_a_page(
    method: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    pages: list[str] = []

    def write(path: Path, content: str) -> None:
        write_atomic(path, content)
        if path.name == 'index.html':
            pages.append(content)

    monkeypatch.setattr(results, 'write_atomic', write)
    out = tmp_path / 'out'
    page = pretrain(
        folder, method=method, epochs=1, out=out, workers=0, image_size=32, report=lines.append
    )
    assert page == out / 'report/index.html'
    text = page.read_text()
    assert 'Map of the embedding' in text and 'Nearest neighbors' in text
    assert 'Comparison' not in text and '<table class="compare">' not in text
    assert f'symmim finetune FOLDER --backbone {out}/epoch_1.pth' in text
    assert text.count('<img') == 9
    # Pages of the training, one between it and the comparison, and the two of the finished run.
    renewed = ['http-equiv="refresh"' in found for found in pages]
    assert renewed == [True, True, True, False, True, False] and text == pages[-1]
    assert 'step 2 of 3' in pages[1] and 'over time' in pages[1] and pages[1].count('<img') == 7
    assert (out / 'images/neighbors.png').is_file() and (out / 'images/map.png').is_file()
    record = json.loads((out / 'result.json').read_text())
    assert record['method'] == method and record['dataset'] == 'imagenet'
    assert {'images/map.png', 'images/neighbors.png'} <= set(record['figures'])
    reported = '\n'.join(lines)
    assert 'k-NN' in record['findings'][0] and all(line in text for line in record['findings'])
    assert '60 images' in reported and 'teach little' in reported and str(page) in reported

    # What is trained on and what is held out are all images, each once.
    lists = [
        (out / 'plan' / name).read_text().split('\n')[:-1] for name in ('train.txt', 'held_out.txt')
    ]
    assert len(lists[1]) == 8 and len(set(lists[0]) | set(lists[1])) == 60 == sum(map(len, lists))
    # An expert continues from the config.
    cfg = Config.fromfile(out / 'plan/pretrain.py')
    assert cfg.recipe.epochs == 1 and cfg.model.data_preprocessor.mean != [123.675, 116.28, 103.53]

    options = dict(epochs=1, image_size=32, report=lines.append)
    again = pretrain(folder, method=method, out=out, **options)
    assert again == page and 'the run is continued' in '\n'.join(lines)


def test_a_missing_tsne_is_refused_before_the_training(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'openTSNE', None)  # as Python marks what it cannot import
    with pytest.raises(UserError, match='--projection tsne needs openTSNE: pip install'):
        pretrain(folder, projection='tsne', out=tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_from_weights(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first loss lies below a random start's; SymMIM takes an encoder of MAE, too."""
    torch.save(dict(state_dict=backbone_weights(vit())), tmp_path / 'random.pth')
    options = dict(workers=0, report=lambda line: None)
    start = dict(init=tmp_path / 'random.pth', heads=4, epochs=20, out=tmp_path / 'mae')
    pretrain(folder, method='mae', **start, **options)
    init = tmp_path / 'mae/epoch_20.pth'
    pretrain(folder, method='mae', epochs=1, init=init, out=tmp_path / 'init', **options)
    losses = []
    for name in ('mae', 'init'):
        curve = (tmp_path / name / 'curve.jsonl').read_text().splitlines()
        losses.append(next(json.loads(line)['loss'] for line in curve if '"loss"' in line))
    assert losses[1] < 0.9 * losses[0]
    pretrain(folder, epochs=1, init=init, out=tmp_path / 'symmim', **options)
    log = next((tmp_path / 'symmim').glob('*/*.log')).read_text()
    assert re.search(r'backbone from .*epoch_20.pth.* 0 missing', log)
    assert 'also loaded: nothing' in log
    state = read_checkpoint(tmp_path / 'symmim/epoch_1.pth')['state_dict']
    assert all(torch.isfinite(value).all() for value in state.values())
    assert 'Logging error' not in capsys.readouterr().err  # a file of an earlier run, closed


def test_mistakes(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='not both'):
        pretrain(folder, epochs=1, steps=1, out=tmp_path / 'a')
    with pytest.raises(UserError, match='give --budget 1m or more'):
        pretrain(folder, budget='1s', out=tmp_path / 'b', workers=0, image_size=32)
    assert not (tmp_path / 'b/plan/pretrain.py').exists()
    with pytest.raises(UserError, match='no such folder'):
        pretrain(tmp_path / 'nowhere', out=tmp_path / 'c')


def test_the_model_follows_from_its_weights(
    folder: Path, tmp_path: Path, plan: Callable[..., list[str]]
) -> None:
    """Width, patch and image size are those of ``init``, and a model next to it is refused."""
    init = tmp_path / 'init.pth'
    torch.save(dict(state_dict=backbone_weights(vit())), init)
    with pytest.raises(UserError, match='not both'):
        pretrain(folder, init=init, model='vit-s', out=tmp_path / 'a')
    plan(pretrain, folder, init=init, out=tmp_path / 'b', heads=4)
    backbone = Config.fromfile(tmp_path / 'b/plan/pretrain.py').model.backbone
    state = torch.load(init)['state_dict']
    assert backbone.arch.embed_dims == len(state['backbone.cls_token'][0, 0])
    assert backbone.patch_size == state['backbone.patch_embed.projection.weight'].shape[-1]
