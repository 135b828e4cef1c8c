"""Frozen features of a folder of JPEGs: timm's validation loop, MMPretrain's test, and ours."""

import argparse
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from benchmarks.common import environment, interleave, markdown, rates, say, timed, with_spread
from symmim_mm.utils.errors import UserError

TIMM, STOCK, OURS = 'timm', 'MMPretrain', 'ours'
RATIO = f'times {STOCK}'
# Their names in timm and in MMPretrain, and their widths.
SMALLER = {'ti': ('tiny', 'deit-tiny', 192), 's': ('small', 'deit-small', 384)}
SIZES = SMALLER | {'b': ('base', 'base', 768)}
SCALE = dict(type='ResizeEdge', scale=256, edge='short', backend='pillow', interpolation='bicubic')
STEPS = [dict(type='LoadImageFromFile'), SCALE, dict(type='CenterCrop', crop_size=224)]
VIT = dict(type='VisionTransformer', img_size=224, patch_size=16)
RGB = dict(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375), to_rgb=True)
PREPROCESSOR = dict(type='ClsDataPreprocessor', **RGB)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tools/benchmark.py extraction``."""
    parser.add_argument('--data', required=True, help='folder of JPEGs, sub-folders included')
    parser.add_argument('--images', type=int, default=64, help='how many of them (default 64)')
    parser.add_argument('--size', choices=SIZES, default='b', help='of the ViT (default b)')
    parser.add_argument('--repeats', type=int, default=5, help='(default 5)')
    parser.add_argument('--amp', action='store_true', help='bfloat16, for all three')
    parser.add_argument('--batch', type=int, nargs='+', default=(8,), help='more: of ours alone')
    parser.add_argument('--workers', type=int, default=0, help='of each loader (default 0)')


def run(args: argparse.Namespace) -> dict:
    """Measure loading alone, then loading and encoding; ``UserError`` at too few images."""
    import cv2
    import torch
    from mmengine.registry import init_default_scope

    cv2.setNumThreads(0)
    init_default_scope('mmpretrain')
    args.device = 'cuda' if torch.cuda.is_available() else 'cpu'
    files = sorted(
        path for path in Path(args.data).rglob('*') if path.suffix.lower() in ('.jpg', '.jpeg')
    )
    if not 0 < args.images <= len(files):
        raise UserError(f'--data {args.data} has {len(files)} JPEGs, --images {args.images} wanted')
    before, (first, *more) = environment(), args.batch
    cases = {TIMM: (_timm, first), STOCK: (_mmpretrain, first), OURS: (_ours, first)}
    cases |= {f'{OURS}, batch {batch}': (_ours, batch) for batch in more}
    loading, encoding = {}, {}
    args.autocast = partial(torch.autocast, args.device, torch.bfloat16, enabled=args.amp)
    with tempfile.TemporaryDirectory(prefix='symmim-extraction-') as place:
        args.folder = Path(place) / 'images'
        (args.folder / 'class').mkdir(parents=True)
        for number, file in enumerate(files[: args.images]):  # names may occur in several folders
            (args.folder / f'class/{number}.jpg').symlink_to(file.resolve())
        for name, (make, batch) in cases.items():
            loader, loop = make(args, batch)
            loop()  # once without measuring: files come into memory, workers start
            loading[name] = partial(timed, partial(_drain, loader, args.images))
            encoding[name] = partial(timed, loop)
        loads = interleave(loading, args.repeats, lambda line: say(f'loading, {line}'))
        loops = interleave(encoding, args.repeats, say)
    # The processor time of workers is not seen from here.
    by = 'cpu_seconds' if args.device == 'cpu' and not args.workers else 'seconds'
    shown = ('images', 'size', 'device', 'workers', 'amp', 'batch')
    result = dict(settings={name: getattr(args, name) for name in shown}, repeats=args.repeats)
    measured = dict(loading=rates(loads, STOCK, by), encoding=rates(loops, STOCK, by))
    return result | dict(environment=before) | measured


def _drain(loader: Iterable, images: int) -> int:
    for _ in loader:
        pass
    return images


def _workers(args: argparse.Namespace) -> dict:
    return dict(num_workers=args.workers, persistent_workers=args.workers > 0)


def _timm(args: argparse.Namespace, batch: int) -> tuple[Iterable, Callable]:
    """Return a loader of timm, and the loop of its ``validate.py``."""
    import timm
    import torch
    from timm.data import create_dataset, create_loader
    from timm.utils import accuracy

    model = timm.create_model(f'vit_{SIZES[args.size][0]}_patch16_224').to(args.device).eval()
    loader = create_loader(
        create_dataset('', str(args.folder)), (3, 224, 224), batch, interpolation='bicubic',
        crop_pct=0.875, device=torch.device(args.device), **_workers(args),
    )  # fmt: skip

    @torch.inference_mode()
    def validate() -> int:
        for images, target in loader:
            with args.autocast():
                output = model(images)
            torch.nn.functional.cross_entropy(output, target).item()
            accuracy(output, target, topk=(1, 5))[0].item()
        return args.images

    return loader, validate


def _mmpretrain(args: argparse.Namespace, batch: int) -> tuple[Iterable, Callable]:
    """Return the loader of its ImageNet configs, and what ``tools/test.py`` does with it."""
    import torch
    from mmpretrain.evaluation import Accuracy
    from mmpretrain.registry import MODELS

    _, arch, width = SIZES[args.size]
    head = dict(type='LinearClsHead', num_classes=1000, in_channels=width)
    parts = dict(backbone=dict(VIT, arch=arch), head=head, data_preprocessor=PREPROCESSOR)
    model = MODELS.build(dict(type='ImageClassifier', **parts)).to(args.device).eval()
    loader = _loader(args, batch, STEPS, type='CustomDataset')

    @torch.no_grad()
    def test() -> int:
        metric = Accuracy(topk=(1, 5))
        for data in loader:
            with args.autocast():
                outputs = model.test_step(data)
            metric.process(data, [sample.to_dict() for sample in outputs])
        return args.images

    return loader, test


def _ours(args: argparse.Namespace, batch: int) -> tuple[Iterable, Callable]:
    """Return the loader of the k-NN configs, and what ``symmim knn`` does with it."""
    from mmpretrain.registry import MODELS

    from symmim_mm.engine.precision import half_encoder
    from symmim_mm.evaluation.features import extract

    model = MODELS.build(dict(VIT, arch=SIZES[args.size][1], out_type='raw')).to(args.device)
    model.eval()  # which returns nothing here
    preprocessor = MODELS.build(PREPROCESSOR).to(args.device)
    data = dict(type='symmim_mm.ImageFolder', index_cache=str(args.folder.parent / 'index'))
    loader = _loader(args, batch, [dict(type='symmim_mm.LoadCenterCrop')], **data)
    encoder = half_encoder(model) if args.amp else model
    return loader, lambda: len(extract(encoder, preprocessor, loader)[1])


def _loader(args: argparse.Namespace, batch: int, steps: list[dict], **data: str) -> Iterable:
    from mmengine.runner import Runner

    pipeline = [*steps, dict(type='PackInputs')]
    dataset = dict(data_root=str(args.folder), pipeline=pipeline, **data)
    settings = dict(batch_size=batch, **_workers(args), collate_fn=dict(type='default_collate'))
    sampler = dict(type='DefaultSampler', shuffle=False)
    return Runner.build_dataloader(dict(settings, dataset=dataset, sampler=sampler), seed=0)


def tables(result: dict) -> dict[str, str]:
    """Return the Markdown of a result: ``rates``."""
    header, rows = ['', 'loading, images a second', RATIO, 'with encoding', RATIO], []
    for name in result['encoding']:
        cases = (result[part][name] for part in ('loading', 'encoding'))
        spreads = (case[kind] for case in cases for kind in ('rate', 'ratio'))
        rows.append([name, *(with_spread(values, '.2f') for values in spreads)])
    return {'rates': markdown(header, rows)}
