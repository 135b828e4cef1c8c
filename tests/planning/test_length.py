"""Numbers of images and steps against figures that papers and datasets state."""

import pytest
from paths import ROOT
from read_config import read_config

from symmim_mm.planning.length import run_length, training_images
from symmim_mm.utils.errors import UserError


def test_absent_data_are_known_by_name():
    for name, count in (
        ('mae/vit_b_pretrain.py', 1_281_167),
        ('detection/mask-rcnn_vit_b_1x_coco.py', 117_266),
        ('segmentation/upernet_vit_b_160k_ade20k.py', 20_210),
        ('quickstart/mae_pretrain.py', 2000),
        ('quickstart/mask_rcnn.py', 300),
        ('quickstart/upernet.py', 300),
    ):
        cfg = read_config(name)
        cfg.train_dataloader.dataset.data_root = 'nowhere'
        found = training_images(cfg)
        assert found.count == count, name
        assert 'nowhere' in found.problem


def test_a_share_of_the_labels_of_absent_data():
    for name, labels, count in (
        ('quickstart/finetune_few.py', None, 200),
        ('classification/vit_b_finetune_imagenet.py', 0.01, 12_812),
        ('segmentation/upernet_vit_b_160k_ade20k.py', (0.5, 1.0), 10_105),
    ):
        cfg = read_config(name)
        dataset = cfg.train_dataloader.dataset
        dataset.data_root = 'nowhere'
        if labels:
            dataset.labels = labels
        assert training_images(cfg).count == count, name


@pytest.mark.parametrize(
    ('name', 'folder', 'count'),
    [('mae_pretrain', 'imagenet', 40), ('mask_rcnn', 'coco/', 16), ('upernet', 'ade20k/', 16)],
)
def test_present_data_are_counted(sample_data, name, folder, count):
    cfg = read_config(f'quickstart/{name}.py')
    for loader in ('train_dataloader', 'val_dataloader'):
        if loader in cfg:
            cfg[loader].dataset.data_root = str(sample_data / folder)
    found = training_images(cfg)
    assert (found.count, found.source, found.problem) == (count, 'counted', None)


@pytest.mark.parametrize(('processes', 'accumulation'), [(1, 16), (8, 2), (16, 1), (64, 1)])
def test_mae_has_its_published_number_of_steps(processes, accumulation):
    """MAE: 1,281,167 images in batches of 4096, the last one dropped: 312 an epoch, 800 times."""
    cfg = read_config('mae/vit_b_pretrain.py', processes)
    length = run_length(cfg, 1_281_167, processes)
    assert length.iterations == 800 * length.epoch_length
    # A process that accumulates may see a part of a batch more in an epoch.
    assert 312 <= length.epoch_length / accumulation < 313
    assert 800 * 312 <= length.steps < 800 * 313
    if accumulation == 1:
        assert (length.epoch_length, length.steps) == (312, 249_600)
        assert length.images_seen == 249_600 * 4096
    assert length.epochs == 800


@pytest.mark.parametrize('processes', [1, 8])
@pytest.mark.parametrize(('size', 'epochs'), [('s', 300), ('b', 300), ('l', 200)])
def test_training_from_scratch(size, epochs, processes):
    """MAE, A.2: batches of 4096; the weights are averaged once per step."""
    cfg = read_config(f'classification/vit_{size}_scratch_imagenet.py', processes)
    length = run_length(cfg, 1_281_167, processes)
    assert epochs * 312 <= length.steps < epochs * 313
    (hook,) = cfg.custom_hooks
    assert hook.interval == cfg.optim_wrapper.accumulative_counts


def test_vitdets_iterations_are_its_100_epochs():
    cfg = read_config('detection/mask-rcnn_vit_b_100ep_coco.py', 4)
    length = run_length(cfg, 117_266, 4)
    assert (length.steps, length.iterations) == (184_375, 184_375 * 2)
    assert length.images_seen == 184_375 * 64
    assert length.epochs == pytest.approx(100.6, abs=0.05)


def test_an_epoch_that_keeps_its_last_batch():
    """Mask R-CNN 1x on 8 processes: 14,659 images each, 3665 batches of 4."""
    cfg = read_config('detection/mask-rcnn_vit_b_1x_coco.py', 8)
    length = run_length(cfg, 117_266, 8)
    assert (length.epoch_length, length.steps) == (3665, 12 * 3665)
    assert length.images_seen == 12 * 8 * 14_659


def test_fewer_images_than_a_step_are_refused_as_in_a_training():
    cfg = read_config('detection/mask-rcnn_vit_b_1x_coco.py', 1)
    assert run_length(cfg, 32, 1).epoch_length == 8
    with pytest.raises(UserError, match='28 images, fewer than one step of 32'):
        run_length(cfg, 28, 1)


def test_no_training_no_length():
    assert run_length(read_config('quickstart/knn.py'), 2000, 1) is None


def test_the_known_number_of_sample_images_is_drawn():
    """The quickstart suite draws with the defaults."""
    text = (ROOT / 'configs/suites/quickstart.yaml').read_text()
    assert 'sample-data' in text and '--train' not in text
