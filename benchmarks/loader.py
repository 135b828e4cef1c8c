"""From JPEG files to a batch of crops: MMPretrain's pipeline, ours, and shards."""

import argparse
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common import (
    Sample,
    environment,
    interleave,
    markdown,
    rates,
    say,
    timed,
    with_spread,
)
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.host import available_cores

if TYPE_CHECKING:
    from symmim_mm.datasets.transforms.crops import LoadRandomResizedCrop

STOCK, WHOLE, OURS = 'MMPretrain', 'ours, decoding all rows', 'ours'
DECODERS = ('OpenCV', 'simplejpeg', 'simplejpeg, rows of the crop')
BATCH = 50
ALONE = 400  # images of what one process does: more of them show nothing more


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tools/benchmark.py loader``."""
    parser.add_argument(
        '--data', required=True, help='folder of JPEGs; one process alone reads 400 of them'
    )
    parser.add_argument('--repeats', type=int, default=15, help='(default 15)')
    parser.add_argument('--size', type=int, default=224, help='of the crops (default 224)')
    parser.add_argument(
        '--crop', type=float, nargs=2, default=(0.2, 1.0), metavar=('LOW', 'HIGH'),
        help='crop_ratio_range (default 0.2 1)',
    )  # fmt: skip
    parser.add_argument(
        '--prepared', type=int, nargs='*', default=(256, 320, 384), metavar='SIDE',
        help='shorter sides of images in shards to measure too (default 256 320 384)',
    )  # fmt: skip
    parser.add_argument(
        '--workers', type=int, nargs='*', default=(), metavar='N',
        help='also measure with so many loader workers, e.g. 1 2 4 8',
    )  # fmt: skip


def run(args: argparse.Namespace) -> dict:
    """Measure loading in this process alone, then with workers, and what the crops lose."""
    import cv2
    import torch
    from torch.utils.data import Subset

    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    if not 0 < args.crop[0] <= args.crop[1] <= 1:
        raise UserError(f'--crop must be two rising numbers in (0, 1], got {args.crop}')
    before = environment()
    with tempfile.TemporaryDirectory(prefix='symmim-loader-') as place:
        datasets = make_datasets(args, Path(place))
        images = len(datasets[STOCK])
        say(f'{images} images')
        few = range(min(images, ALONE))
        some = {name: Subset(dataset, few) for name, dataset in datasets.items()}
        paths = [datasets[OURS].get_data_info(index)['img_path'] for index in few]
        crop = datasets[OURS].pipeline.transforms[0]
        result = dict(
            settings=dict(images=images, size=args.size, crop=list(args.crop), batch=BATCH),
            repeats=args.repeats,
            environment=before,
            alone=_measure(some, args.repeats, workers=0),
            decoding=_measure_decoding(paths, crop, args.repeats),
            workers={
                str(count): _measure(datasets, max(3, args.repeats // 3), workers=count)
                for count in args.workers
            },
            quality=quality(some),
        )
        if torch.cuda.is_available():
            from benchmarks.loader_gpu import measure_gpu

            try:
                result['gpu'] = measure_gpu(some[OURS], paths, crop, args.size, args.repeats)
            except RuntimeError as error:  # without nvJPEG, or of a JPEG that it cannot decode
                result['problems'] = dict(gpu='decoding by the GPU: ' + f'{error}'.split('\n')[0])
    return result


def make_datasets(args: argparse.Namespace, place: Path) -> dict:
    """Return datasets by name: stock, ours, and shards, which are written below ``place``."""
    from mmengine.registry import init_default_scope
    from mmpretrain.registry import DATASETS

    from benchmarks import loader_steps
    from symmim_mm.datasets.shards.prepare import prepare

    init_default_scope('mmpretrain')
    crop = dict(scale=args.size, crop_ratio_range=tuple(args.crop))
    pack = dict(type='mmpretrain.PackInputs')
    stock = [
        dict(type='LoadImageFromFile'),
        dict(
            type='mmpretrain.RandomResizedCrop', backend='pillow', interpolation='bicubic', **crop
        ),
        dict(type='mmpretrain.RandomFlip', prob=0.5),
        pack,
    ]
    ours = [dict(type='symmim_mm.LoadRandomResizedCrop', flip_prob=0.5, **crop), pack]
    whole = [loader_steps.DecodeWhole(flip_prob=0.5, **crop), pack]
    kind = dict(type='symmim_mm.ImageFolder', with_label=False, index_cache=str(place / 'index'))
    datasets = {
        name: DATASETS.build(dict(kind, data_root=str(args.data), pipeline=steps))
        for name, steps in ((STOCK, stock), (WHOLE, whole), (OURS, ours))
    }
    for side in args.prepared:
        say(f'preparing images with a shorter side of {side}')
        prepare(args.data, place / str(side), short_side=side, jobs=available_cores())
        root = str(place / str(side))
        datasets[f'prepared, {side}'] = DATASETS.build(dict(kind, data_root=root, pipeline=ours))
    return datasets


def _measure(datasets: dict, repeats: int, workers: int) -> dict:
    from mmengine.dataset import default_collate
    from torch.utils.data import DataLoader

    loaders = {
        name: DataLoader(
            dataset,
            BATCH,
            num_workers=workers,
            collate_fn=default_collate,
            persistent_workers=workers > 0,
        )
        for name, dataset in datasets.items()
    }
    label = f'{workers} workers, ' if workers else ''
    # Once without measuring: files come into memory, workers start.
    cases: dict[str, Callable[[], Sample]] = {}
    for name, loader in loaders.items():
        _drain(loader)
        cases[name] = partial(timed, partial(_drain, loader))
    samples = interleave(cases, repeats, lambda line: say(label + line))
    # With workers, the processor time is theirs and not seen from here.
    return rates(samples, STOCK, 'seconds' if workers else 'cpu_seconds')


def _drain(loader: Iterable) -> int:
    return sum(len(batch['inputs']) for batch in loader)


def _measure_decoding(paths: list[str], crop: 'LoadRandomResizedCrop', repeats: int) -> dict:
    """Decoding alone, of the same files and crops by every decoder."""
    from benchmarks import loader_steps

    jobs = loader_steps.decoding_jobs(paths, crop)
    if not jobs:
        raise UserError('--data holds no JPEG in upright orientation')
    kinds = (loader_steps.by_opencv, loader_steps.by_simplejpeg, loader_steps.by_rows)
    cases = {
        name: partial(timed, partial(loader_steps.decode_all, jobs, decode))
        for name, decode in zip(DECODERS, kinds, strict=True)
    }
    return rates(interleave(cases, repeats, say), DECODERS[0], 'cpu_seconds')


def quality(datasets: dict, seeds: int = 3) -> dict:
    """Return the PSNR of our crops to those of the stock pipeline, drawn with the same seeds."""
    import numpy as np

    found = []
    for index in range(len(datasets[STOCK])):
        for seed in range(seeds):
            pair = []
            for name in (STOCK, OURS):
                np.random.seed([index, seed])
                pair.append(datasets[name][index]['inputs'].numpy().astype(np.float64))
            error = ((pair[0] - pair[1]) ** 2).mean()
            found.append(float(10 * np.log10(255**2 / max(error, 1e-10))))
    return dict(crops=len(found), median_db=float(np.median(found)), worst_db=min(found))


def tables(result: dict) -> dict[str, str]:
    """Return the Markdown of a result, by the name of the table."""
    header = ['', 'images a second', 'times MMPretrain']
    found = {'alone': _table(header, result['alone'])}
    found['decoding'] = _table(['', 'images a second', 'times OpenCV'], result['decoding'])
    for count, cases in result['workers'].items():
        found[f'workers {count}'] = _table(header, cases)
    loss = result['quality']
    found['quality'] = markdown(
        ['crops compared', 'median', 'worst'],
        [[str(loss['crops']), f'{loss["median_db"]:.1f} dB', f'{loss["worst_db"]:.1f} dB']],
    )
    if 'gpu' in result:
        found['gpu'] = _table(['', 'images a second', 'times ours on one core'], result['gpu'])
    return found


def _table(header: list[str], cases: dict) -> str:
    rows = [
        [name, with_spread(case['rate']), with_spread(case['ratio'], '.2f')]
        for name, case in cases.items()
    ]
    return markdown(header, rows)
