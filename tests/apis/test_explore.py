"""What `symmim app` computes: masks, reconstructions, maps and neighbors of any image."""

from pathlib import Path

import numpy as np
import pytest
import torch
from explorer_runs import PHOTO, make_run
from paths import ROOT
from torch.nn.functional import cosine_similarity

from symmim_mm.apis.explore import AS_TRAINED, CHECKERBOARD, RANDOM, Explorer
from symmim_mm.apis.visualize import visualize
from symmim_mm.models.mae import reconstruct_mae
from symmim_mm.models.masks import checkerboard
from symmim_mm.utils.errors import UserError


@pytest.mark.parametrize('method', ['symmim', 'mae', 'simmim'])
def test_every_mask_is_reconstructed(method: str, tmp_path: Path) -> None:
    explorer = Explorer(make_run(tmp_path / 'run', method))
    board = explorer.draw_mask(CHECKERBOARD, block=2)
    assert torch.equal(board, checkerboard((4, 4), 2))
    assert torch.equal(explorer.draw_mask(CHECKERBOARD, block=2, seed=1), ~board)
    assert int(explorer.draw_mask(RANDOM, ratio=0.5, seed=3).sum()) == 8
    trained = dict(symmim=8, mae=12, simmim=12)[method]
    assert int(explorer.draw_mask(AS_TRAINED).sum()) == trained
    paint = np.zeros((100, 101), np.uint8)
    paint[:25, :26] = 255
    by_hand = explorer.painted_mask(paint)
    assert by_hand.nonzero().tolist() == [[0, 0]]
    for mask in (board, by_hand, torch.zeros(4, 4, dtype=torch.bool)):
        (original, covered, filled, _), error = explorer.reconstruct(PHOTO, mask)
        pixels = mask.numpy().repeat(56, axis=0).repeat(56, axis=1)  # 224 of 32 pixels
        assert np.array_equal(original, explorer.shown(PHOTO))
        for panel in (covered, filled):
            assert np.array_equal((panel != original).any(axis=2) & ~pixels, pixels & False)
        assert (covered[pixels] == 114).all() and (error > 0) == bool(mask.any())


def test_a_broken_image_among_those_held_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / 'run', 'mae')
    explorer = Explorer(run)
    pipeline = [dict(type='symmim_mm.LoadImageStrict'), dict(type='mmpretrain.PackInputs')]
    dataset = dict(explorer.cfg.train_dataloader.dataset, pipeline=pipeline)
    explorer.cfg.default_hooks.images = dict(dataset=dataset)
    (run / 'images/0.png').write_bytes(b'no image')
    assert len(explorer._held_out()) == 7


def test_mae_computes_with_a_mask_what_it_computes_with_its_own(tmp_path: Path) -> None:
    model = Explorer(make_run(tmp_path / 'run', 'mae')).model
    images = torch.randn(3, 3, 32, 32)
    latent, mask, restore = model.backbone(images, mask=True)
    given, found = reconstruct_mae(model, images, mask.bool().view(3, 4, 4))
    torch.testing.assert_close(found, model.neck(latent, restore).detach())
    assert torch.equal(given.flatten(1), mask.bool())


def test_maps_and_neighbors(tmp_path: Path) -> None:
    run = make_run(tmp_path / 'run', 'mae')
    explorer = Explorer(run)
    similarity = explorer.similarity(PHOTO, 0.99, 0.3)  # row 1, column 3 of 4 x 4
    brightest = np.argwhere((similarity == similarity[57, 223]).all(axis=2))
    assert similarity.shape == (224, 224, 3)
    assert brightest.min(axis=0).tolist() == [56, 168]
    assert len(explorer.attention(PHOTO)) == 4
    # The run's pipeline resizes by another interpolation.
    for other, least in ((explorer, 0.99), (Explorer(run, index=run / 'images'), 0.9999)):
        assert other.build_index() == 8
        nearest = other.neighbors(PHOTO, count=3)
        cosines = [cosine for _, cosine in nearest]
        assert len(cosines) == 3 and cosines == sorted(cosines, reverse=True)
        assert cosines[0] > least
        assert np.abs(nearest[0][0] - other.shown(PHOTO).astype(int)).mean() < 20
    drawn = dict(images=[run / 'images/0.png'], out=tmp_path)
    for kind in ('similarity', 'attention'):
        assert list(visualize(kind, run / 'config.py', run / 'epoch_1.pth', **drawn))
    features = explorer.encoder(explorer._normalize(PHOTO))[-1][0, 1:]
    row = cosine_similarity(features[7:8], features).detach().clamp(min=0)
    assert np.array_equal(explorer._draw_map(row.view(4, 4)), similarity)


@pytest.mark.parametrize(('kind', 'task'), [('detect', 'pretrain'), ('attention', 'detection')])
def test_drawings_of_another_task(kind: str, task: str) -> None:
    name = dict(pretrain='symmim_pretrain', detection='mask_rcnn')[task]
    config = ROOT / f'configs/quickstart/{name}.py'
    with pytest.raises(UserError, match=f'{name}.py is of the task {task}, and {kind} draws one'):
        list(visualize(kind, config, 'no.pth'))
    with pytest.raises(UserError, match='--count -1: must be at least 1'):
        list(visualize(kind, config, 'no.pth', count=-1))


def test_runs_that_lack_something(tmp_path: Path) -> None:
    explorer = Explorer(make_run(tmp_path / 'contrast', 'symmim', mim_weight=0.0))
    assert not explorer.reconstructs and not explorer.attends and explorer.held_out == []
    with pytest.raises(UserError, match='reconstructs nothing'):
        explorer.reconstruct(PHOTO, explorer.draw_mask(AS_TRAINED))
    with pytest.raises(UserError, match='leaves none'):
        explorer.draw_mask(RANDOM, ratio=0.97)
    with pytest.raises(UserError, match='name a pre-training'):
        Explorer(make_run(tmp_path / 'other', 'symmim', task='finetune'))
