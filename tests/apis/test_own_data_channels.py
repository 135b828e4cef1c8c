"""Images of other channels than three, from a folder to a model in use."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from mmengine.config import Config
from tiny_models import save_backbone, vit

import symmim_mm
from symmim_mm.apis.embed import embed
from symmim_mm.apis.explore import Explorer
from symmim_mm.apis.own_data.detect import detect
from symmim_mm.apis.own_data.finetune import finetune
from symmim_mm.apis.own_data.pretrain import METHODS, pretrain
from symmim_mm.apis.own_data.segment import segment
from symmim_mm.apis.predict import predict
from symmim_mm.config.load import load_config
from symmim_mm.utils.errors import UserError

pytestmark = pytest.mark.xdist_group('channels')  # they share a trained run
QUIET = dict(workers=0, report=lambda line: None)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 images of four channels and 16 bits: waves, fine in one class and coarse in the other."""
    root, rng = tmp_path_factory.mktemp('bands') / 'bands', np.random.default_rng(0)
    rows, columns = np.mgrid[:36, :40] / 40
    for number in range(60):
        phase = 6 * (1 + number % 2 * 4) * (rng.random() * rows + rng.random() * columns)
        image = np.stack([np.sin(phase + band) for band in range(4)], axis=-1)
        path = root / ('coarse', 'fine')[number % 2] / f'{number}.tif'
        path.parent.mkdir(parents=True, exist_ok=True)
        options = dict(photometric='minisblack', planarconfig='contig')
        tifffile.imwrite(path, np.uint16((image + 1) * 32767), **options)
    return root


@pytest.fixture(scope='module')
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('run') / 'out'
    pretrain(folder, channels=4, epochs=1, image_size=32, out=out, **QUIET)
    return out


@pytest.mark.parametrize('method', METHODS)
def test_the_plan_states_the_channels_once(
    method: str, folder: Path, tmp_path: Path, plan: Callable[..., list[str]]
) -> None:
    plan(pretrain, folder, out=tmp_path, method=method, channels=4)
    model = Config.fromfile(tmp_path / 'plan/pretrain.py').model
    text = (tmp_path / 'plan/pretrain.py').read_text()
    assert text.count('in_ch') == 1 and model.backbone.patch_cfg == dict(in_channels=4)
    assert text.count(' channels=4') == 3  # where images are loaded
    assert len(model.data_preprocessor.mean) == len(model.data_preprocessor.std) == 4
    model = load_config(tmp_path / 'plan/pretrain.py').model
    assert method != 'mae' or (model.neck.in_chans, model.head.in_channels) == (4, 4)


def test_three_channels_are_not_stated(
    sample_data: Path, tmp_path: Path, plan: Callable[..., list[str]]
) -> None:
    for channels in (None, 3):
        out = tmp_path / str(channels)
        plan(pretrain, sample_data / 'imagenet', out=out, channels=channels)
        text = (out / 'plan/pretrain.py').read_text()
        assert 'in_ch' not in text and ' channels=' not in text


def test_channels_follow_from_weights_or_weights_are_adapted(
    folder: Path, tmp_path: Path, plan: Callable[..., list[str]]
) -> None:
    own = save_backbone(tmp_path / 'own.pth', vit(in_channels=4))
    color = save_backbone(tmp_path / 'color.pth', vit())
    for name, options in (('own', dict(init=own)), ('color', dict(init=color, channels=4))):
        out = tmp_path / name
        lines = plan(pretrain, folder, out=out, heads=4, **options)
        backbone = Config.fromfile(out / 'plan/pretrain.py').model.backbone
        assert backbone.patch_cfg.in_channels == 4
        assert any('is adapted to 4' in line for line in lines) == (name == 'color')
    for init, channels, message in (
        (own, 3, 'own.pth reads 4 channels, not 3: give --channels 4'),
        (own, 5, 'own.pth reads 4 channels, not 5'),
        (color, None, '60 of 60 images cannot be read.* has 4 channels.*--channels 4'),
        (None, 0, '--channels 0: images have 1 at least'),
    ):
        with pytest.raises(UserError, match=message):
            pretrain(folder, init=init, channels=channels, heads=4, out=tmp_path / 'no', **QUIET)


def test_what_takes_images_of_three_channels_alone(tmp_path: Path, folder: Path) -> None:
    file = save_backbone(tmp_path / 'own.pth', vit(in_channels=4))
    for function in (detect, segment):
        with pytest.raises(UserError, match='own.pth reads 4 channels; detect and segment train'):
            function('no', 'no', backbone=file, heads=4, out=tmp_path / 'out', **QUIET)
    with pytest.raises(UserError, match='does not state mean and std of its 4 channels'):
        embed(file, [folder], heads=4, out=tmp_path / 'a.npz')


@pytest.mark.slow
def test_from_a_folder_to_a_page(run: Path, folder: Path) -> None:
    record = json.loads((run / 'result.json').read_text())
    assert record['channels'] == 4 and record['flops_per_image'] > 0
    assert {'images/map.png', 'images/neighbors.png', 'images/0.png'} <= set(record['figures'])
    assert 'k-NN' in record['findings'][0]
    text = (run / 'report/index.html').read_text()
    assert 'symmim finetune' in text and 'symmim detect' not in text
    # The first panel of a drawing is the image itself, its first three channels as RGB.
    name = (run / 'plan/held_out.txt').read_text().split()[0]
    image = tifffile.imread(folder / name)[:, 2:38, :3] / 257  # 32 of 36 pixels, from the center
    drawn = cv2.imread(str(run / 'images/0.png'))[:224, :224, ::-1]
    expected = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)
    assert np.abs(drawn - expected).mean() < 12 < np.abs(drawn[..., ::-1] - expected).mean()
    with pytest.raises(UserError, match='reads 4 channels; the app shows'):
        Explorer(run)


@pytest.mark.slow
def test_what_follows(run: Path, folder: Path, tmp_path: Path) -> None:
    """The checkpoint is fine-tuned, predicts and embeds; other images are refused."""
    tuned = tmp_path / 'tuned'
    finetune(folder, backbone=run / 'epoch_1.pth', epochs=4, out=tuned, **QUIET)
    cfg = Config.fromfile(tuned / 'plan/finetune.py')
    assert cfg.model.backbone.patch_cfg == dict(in_channels=4)
    normalized = Config.fromfile(run / 'plan/pretrain.py').model.data_preprocessor
    assert cfg.data_preprocessor.mean == normalized.mean and len(normalized.std) == 4
    assert json.loads((tuned / 'result.json').read_text())['metrics']['top1'] > 60
    paths = sorted(folder.rglob('*.tif'))[:3]
    file = predict(tuned, paths, out=tmp_path / 'out', report=lambda _: None)
    entries = json.loads(file.read_text())['images']
    model = symmim_mm.load(tuned)
    for path, entry in zip(paths, entries, strict=True):
        assert cv2.imread(str(file.parent / entry['drawing'])).shape[2] == 3
        pixels = np.float32(tifffile.imread(path) / 257)
        (same,) = model.predict(pixels)
        assert entry['classes'][0]['score'] == pytest.approx(same.scores[0], abs=1e-3)
        (flipped,) = model.predict(pixels[..., ::-1])
        assert not np.allclose(flipped.scores, same.scores, atol=1e-6)
    with pytest.raises(UserError, match=r'shape \(36, 40, 3\): .* reads \(height, width, 4\)'):
        model.predict(pixels[..., :3])
    for name in ('epoch_1.pth', '.'):
        found = np.load(embed(run / name, paths, out=tmp_path / 'a.npz', report=lambda _: None))
        assert found['features'].shape == (3, 192) and np.isfinite(found['features']).all()
    cv2.imwrite(str(tmp_path / 'rgb.png'), np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(UserError, match='rgb.png has 3 channels, and 4 are read'):
        predict(tuned, [tmp_path / 'rgb.png'], out=tmp_path / 'out')


@pytest.mark.slow
@torch.no_grad()
def test_features_are_those_of_the_encoder(run: Path, folder: Path, tmp_path: Path) -> None:
    """The mean patch token of the image's center, normalized channel by channel in file order."""
    from symmim_mm.checkpoint.encoder import read_encoder

    path = sorted(folder.rglob('*.tif'))[0]
    found = np.load(embed(run, [path], out=tmp_path / 'a.npz', report=lambda _: None))
    encoder = read_encoder(run / 'epoch_1.pth')
    known = {key: np.array(value) for key, value in encoder.normalization.items()}
    image = np.float32(tifffile.imread(path) / 257)
    image = cv2.resize(image, (36, 32), interpolation=cv2.INTER_AREA)[:, 2:34]
    image = torch.from_numpy((image - known['mean']) / known['std']).permute(2, 0, 1)[None]
    tokens = encoder.build()(image.float())[-1]
    np.testing.assert_allclose(found['features'][0], tokens[0, 1:].mean(dim=0), atol=1e-4)
