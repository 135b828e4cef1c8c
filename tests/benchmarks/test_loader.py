"""The loader's benchmark, small: every case runs, and does the work that it says."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import loader, loader_gpu, loader_steps
from benchmarks.common import problem_of
from symmim_mm.datasets.sample.layouts import image_rng
from symmim_mm.datasets.sample.scenes import draw_scene
from symmim_mm.datasets.transforms.crops import LoadRandomResizedCrop


@pytest.fixture(scope='module')
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import cv2

    folder = tmp_path_factory.mktemp('images')
    for index in range(6):
        scene = draw_scene(image_rng(0, 'coco', 0, index), 120)
        cv2.imwrite(str(folder / f'{index}.jpg'), scene.image)
    return folder


def arguments(folder: Path, **changes) -> Namespace:
    options = dict(data=str(folder), repeats=1, size=32, crop=(0.2, 1.0), prepared=(64,))
    return Namespace(**options | dict(workers=()) | changes)


def test_all_cases_give_the_same_crops(images: Path, tmp_path: Path) -> None:
    datasets = loader.make_datasets(arguments(images), tmp_path)
    assert list(datasets) == ['MMPretrain', 'ours, decoding all rows', 'ours', 'prepared, 64']
    for index in range(6):
        found = {}
        for name, dataset in datasets.items():
            np.random.seed(index)
            found[name] = dataset[index]['inputs'].numpy().astype(int)
        assert found['ours'].shape == found['prepared, 64'].shape == (3, 32, 32)
        assert np.array_equal(found['ours'], found['ours, decoding all rows'])
        assert np.abs(found['ours'] - found['MMPretrain']).max() <= 3
    names = {Path(datasets['prepared, 64'].get_data_info(i)['img_path']).name for i in range(6)}
    assert names == {f'{index}.jpg' for index in range(6)}


def test_decoders_decode_the_same_rows(images: Path) -> None:
    crop = LoadRandomResizedCrop(scale=32, crop_ratio_range=(0.2, 1.0))
    jobs = loader_steps.decoding_jobs([str(path) for path in images.iterdir()], crop)
    assert len(jobs) == 6
    for job in jobs:
        _, _, top, bottom = job
        whole = loader_steps.by_opencv(job)
        assert np.array_equal(loader_steps.by_simplejpeg(job), whole)
        rows = loader_steps.by_rows(job)
        assert np.array_equal(rows[top:bottom], whole[top:bottom])
    assert loader_steps.decode_all(jobs, loader_steps.by_rows) == 6


def test_a_gpu_that_decodes_no_jpegs_costs_nothing_else(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise RuntimeError('not compiled with nvJPEG\nTrace')

    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0')  # MMEngine's logger asks for its number
    monkeypatch.setattr(loader_gpu, 'measure_gpu', refuse)
    monkeypatch.setattr(loader, 'ALONE', 2)
    result = loader.run(arguments(images, prepared=()))
    assert result['alone']['ours']['samples'][0]['amount'] == 2 == result['quality']['crops'] / 3
    assert problem_of(result) == 'decoding by the GPU: not compiled with nvJPEG'


@pytest.mark.slow
def test_command(tool, images: Path, tmp_path: Path) -> None:
    result = tmp_path / 'loader.json'
    done = tool(
        'benchmark.py', 'loader', '--data', images, '--repeats', '2', '--size', '32',
        '--prepared', '64', '--workers', '1', '--json', result, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(result.read_text())
    assert found['benchmark'] == 'loader' and found['settings']['images'] == 6
    assert found['quality']['worst_db'] > 40
    assert len(found['alone']['ours']['samples']) == 2
    assert found['alone']['MMPretrain']['ratio']['median'] == 1
    assert set(found['workers']['1']) == set(found['alone'])
    assert '| ours | ' in done.stdout and 'workers 1' in done.stdout
    wrong = tool('benchmark.py', 'loader', '--data', tmp_path / 'none', '--json', result)
    assert wrong.returncode == 2 and 'there is no folder' in wrong.stderr
