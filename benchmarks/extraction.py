"""Frozen features of a folder of JPEGs: timm's validation loop, MMPretrain's test, and ours."""

import argparse
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from benchmarks.common import environment, interleave, markdown, rates, say, timed, with_spread
from symmim_mm.utils.errors import UserError

TIMM, STOCK, OURS = 'timm', 'MMPretrain', 'ours'
SIZES = {'ti': ('tiny', 192), 's': ('small', 384), 'b': ('base', 768)}
SCALE = dict(type='ResizeEdge', scale=256, edge='short', backend='pillow', interpolation='bicubic')
STEPS = [dict(type='LoadImageFromFile'), SCALE, dict(type='CenterCrop', crop_size=224)]
PREPROCESSOR = dict(
    type='ClsDataPreprocessor', mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375),
    to_rgb=True,
)  # fmt: skip


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
    files = sorted(path for path in Path(args.data).rglob('*') if path.suffix in ('.jpg', '.JPEG'))
    if not 0 < args.images <= len(files):
        raise UserError(f'--data {args.data} has {len(files)} JPEGs, --images {args.images} wanted')
    before = environment()
    kinds = zip((TIMM, STOCK, OURS), (_timm, _mmpretrain, _ours), strict=True)
    made = {name: (make, args.batch[0]) for name, make in kinds}
    made |= {f'{OURS}, batch {batch}': (_ours, batch) for batch in args.batch[1:]}
    loading, encoding = {}, {}
    args.autocast = partial(torch.autocast, args.device, torch.bfloat16, enabled=args.amp)
    with tempfile.TemporaryDirectory(prefix='symmim-extraction-') as place:
        args.folder = Path(place) / 'images'
        (args.folder / 'class').mkdir(parents=True)
        for file in files[: args.images]:
            (args.folder / 'class' / file.name).symlink_to(file.resolve())
        for name, (make, batch) in made.items():
            loader, loop = make(args, batch)
            loop()  # once without measuring: files come into memory, workers start
            loading[name] = partial(timed, partial(_drain, loader))
            encoding[name] = partial(timed, loop)
        loads = interleave(loading, args.repeats, lambda line: say(f'loading, {line}'))
        loops = interleave(encoding, args.repeats, say)
    # The processor time of workers is not seen from here.
    by = 'cpu_seconds' if args.device == 'cpu' and not args.workers else 'seconds'
    shown = ('images', 'size', 'device', 'workers', 'amp', 'batch')
    return dict(
        settings={name: getattr(args, name) for name in shown},
        repeats=args.repeats, environment=before,
        loading=rates(loads, STOCK, by), encoding=rates(loops, STOCK, by),
    )  # fmt: skip


def _timm(args: argparse.Namespace, batch: int) -> tuple[Iterable, Callable]:
    """Return a loader of timm, and the loop of its ``validate.py``."""
    import timm
    import torch
    from timm.data import create_dataset, create_loader
    from timm.utils import accuracy

    model = timm.create_model(f'vit_{SIZES[args.size][0]}_patch16_224').to(args.device).eval()
    loader = create_loader(
        create_dataset('', str(args.folder)), (3, 224, 224), batch, interpolation='bicubic',
        crop_pct=0.875, num_workers=args.workers, persistent_workers=args.workers > 0,
        device=torch.device(args.device),
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


def _drain(loader: Iterable) -> int:
    return sum(len(batch['inputs'] if isinstance(batch, dict) else batch[0]) for batch in loader)


def _mmpretrain(args: argparse.Namespace, batch: int) -> tuple[Iterable, Callable]:
    """Return the loader of its ImageNet configs, and what ``tools/test.py`` does with it."""
    import torch
    from mmpretrain.evaluation import Accuracy
    from mmpretrain.registry import MODELS

    head = dict(type='LinearClsHead', num_classes=1000, in_channels=SIZES[args.size][1])
    parts = dict(backbone=_backbone(args), head=head, data_preprocessor=PREPROCESSOR)
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

    model = MODELS.build(_backbone(args) | dict(out_type='raw')).to(args.device)
    model.eval()  # which returns nothing here
    preprocessor = MODELS.build(PREPROCESSOR).to(args.device)
    data = dict(type='symmim_mm.ImageFolder', index_cache=str(args.folder.parent / 'index'))
    loader = _loader(args, batch, [dict(type='symmim_mm.LoadCenterCrop')], **data)
    encoder = half_encoder(model) if args.amp else model
    return loader, lambda: len(extract(encoder, preprocessor, loader)[1])


def _backbone(args: argparse.Namespace) -> dict:
    arch = 'base' if args.size == 'b' else f'deit-{SIZES[args.size][0]}'
    return dict(type='VisionTransformer', arch=arch, img_size=224, patch_size=16)


def _loader(args: argparse.Namespace, batch: int, steps: list[dict], **data: str) -> Iterable:
    from mmengine.runner import Runner

    pipeline = [*steps, dict(type='PackInputs')]
    settings = dict(
        dataset=dict(data_root=str(args.folder), pipeline=pipeline, **data), batch_size=batch,
        sampler=dict(type='DefaultSampler', shuffle=False), num_workers=args.workers,
        collate_fn=dict(type='default_collate'), persistent_workers=args.workers > 0,
    )  # fmt: skip
    return Runner.build_dataloader(settings, seed=0)


def tables(result: dict) -> dict[str, str]:
    """Return the Markdown of a result: ``rates``."""
    columns = [
        ('loading', 'rate'),
        ('loading', 'ratio'),
        ('encoding', 'rate'),
        ('encoding', 'ratio'),
    ]
    rows = [
        [name, *(with_spread(result[part][name][kind], '.2f') for part, kind in columns)]
        for name in result['encoding']
    ]
    ratio = f'times {STOCK}'
    return {
        'rates': markdown(['', 'loading, images a second', ratio, 'with encoding', ratio], rows)
    }
