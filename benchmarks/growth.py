"""Time and memory of a training step against tokens, batch and depth, with fitted laws."""

import argparse
import gc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common import (
    check_gpu,
    environment,
    interleave,
    markdown,
    say,
    spread,
    timed,
    with_spread,
)
from benchmarks.laws import evaluate, in_words, polynomial, power
from benchmarks.step_tables import OURS, SIZES
from symmim_mm.utils.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

MIB = 2**20
AXES = {  # name: letter in laws, degree of the law of time, of memory
    'tokens': ('n', 2, 1),
    'batch': ('b', 1, 1),
    'depth': ('d', 1, 1),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tools/benchmark.py growth``."""
    parser.add_argument('--method', choices=OURS, default='symmim', help='(default symmim)')
    parser.add_argument('--size', choices=SIZES, default='s', help='(default s)')
    parser.add_argument(
        '--images', type=int, nargs='+', default=(224, 256, 320, 384, 448), metavar='SIDE',
        help='sides of the images, which set the tokens (default 224 256 320 384 448)',
    )  # fmt: skip
    parser.add_argument(
        '--batches', type=int, nargs='+', default=(2, 4, 8, 16), metavar='N',
        help='images per step at the first side (default 2 4 8 16)',
    )  # fmt: skip
    parser.add_argument(
        '--depths', type=int, nargs='+', default=(3, 6, 12, 24), metavar='N',
        help='blocks of the encoder at the first side and batch (default 3 6 12 24)',
    )  # fmt: skip
    parser.add_argument('--repeats', type=int, default=3, help='(default 3)')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu', help='(default cpu)')
    parser.add_argument('--amp', action='store_true', help='bfloat16; needs a GPU')


def run(args: argparse.Namespace) -> dict:
    """Measure along each axis, fit laws, and draw an SVG next to the JSON."""
    import torch

    check_gpu(args.device, args.amp)
    if min(args.batches) < 2:
        raise UserError('--batches must be 2 or more: batch normalization needs two images')
    for name in ('images', 'batches', 'depths'):
        if len(set(getattr(args, name))) < 3:
            raise UserError(f'--{name} needs three different values or more, to fit a law to')
    on_gpu = args.device == 'cuda'
    clock = 'cpu_seconds' if not on_gpu and torch.get_num_threads() == 1 else 'seconds'
    result = dict(
        settings=dict(
            method=args.method, size=args.size, device=args.device,
            precision='bfloat16' if args.amp else 'float32',
        ),
        repeats=args.repeats,
        clock=clock,
        environment=environment(),
        axes={},
    )  # fmt: skip
    first, batch = args.images[0], args.batches[0]
    plans = dict(
        tokens=[(side, batch, None) for side in args.images],
        batch=[(first, count, None) for count in args.batches],
        depth=[(first, batch, count) for count in args.depths],
    )
    for axis, points in plans.items():
        measured = _measure(axis, points, args, clock)
        result['axes'][axis] = dict(points=measured, laws=fit(axis, measured))
        gc.collect()
    figure = Path(args.json).with_suffix('.svg')
    draw(result, figure)
    say(f'figure: {figure}')
    return result


def config_at(method: str, size: str, image: int, depth: int | None) -> 'Config':
    """Return the config of a method for another image size, or another number of blocks."""
    from benchmarks.step_cases import config_of

    cfg = config_of(size, method)
    backbone = cfg.model.backbone
    if image % backbone.patch_size:
        raise UserError(f'--images: {image} is no multiple of the patch size {backbone.patch_size}')
    backbone.img_size = image
    if 'neck' in cfg.model:  # MAE's decoder
        cfg.model.neck.num_patches = (image // backbone.patch_size) ** 2
    if depth is not None:
        backbone.arch = dict(_widths(backbone.arch), num_layers=depth)
    return cfg


def _widths(arch: str | dict) -> dict:
    from mmpretrain.models import VisionTransformer

    return dict(VisionTransformer.arch_zoo[arch] if isinstance(arch, str) else arch)


def _measure(axis: str, points: list[tuple], args: argparse.Namespace, clock: str) -> list[dict]:
    import torch

    from benchmarks.step_cases import trainer_of
    from symmim_mm.planning.costs import flops_per_image

    configs = {point: config_at(args.method, args.size, point[0], point[2]) for point in points}
    trainers: dict = {}
    cases = {}
    for point in points:
        image, batch, depth = point
        key = image, depth
        if key not in trainers:
            say(f'{axis}: building a model for {image} pixels, depth {depth or "as it is"}')
            trainers[key] = trainer_of(configs[point], torch.device(args.device), args.amp)
        trainers[key].train(batch)
        cases[str(point)] = partial(timed, partial(trainers[key].train, batch))
    samples = interleave(cases, args.repeats, lambda line: say(f'{axis} {line}'))
    found = []
    for point in points:
        image, batch, depth = point
        cfg = configs[point]
        patches = (image // cfg.model.backbone.patch_size) ** 2
        trainer = trainers[image, depth]
        seconds = [getattr(sample, clock) for sample in samples[str(point)]]
        say(f'{axis}: memory at {point}')
        found.append(
            dict(
                value=dict(tokens=patches + 1, batch=batch, depth=depth)[axis],
                image=image,
                batch=batch,
                seconds=spread(seconds),
                bytes=trainer.peak_bytes(batch),
                operations=flops_per_image(cfg).forward_backward * batch,
            )
        )
    return found


def fit(axis: str, points: list[dict]) -> dict[str, dict]:
    """Fit laws of time, memory and FLOPs along an axis; memory is that of a step alone."""
    _, of_time, of_memory = AXES[axis]
    x = [point['value'] for point in points]
    seconds = [point['seconds']['median'] for point in points]
    return dict(
        seconds=polynomial(x, seconds, of_time),
        seconds_power=power(x, seconds),
        bytes=polynomial(x, [point['bytes'] for point in points], of_memory),
        operations=polynomial(x, [point['operations'] for point in points], of_time),
        operations_power=power(x, [point['operations'] for point in points]),
    )


def tables(result: dict) -> dict[str, str]:
    """Return Markdown tables of a result: one for each axis, and ``laws``."""
    found = {}
    rows = []
    for axis, measured in result['axes'].items():
        points, laws = measured['points'], measured['laws']
        base = points[0]
        found[axis] = markdown(
            [axis, 'seconds per step', 'times the first', 'FLOPs, times the first',
             'peak of the step', 'times the first'],
            [
                [
                    str(point['value']),
                    with_spread(point['seconds'], '.3g'),
                    f'{point["seconds"]["median"] / base["seconds"]["median"]:.2f}',
                    f'{point["operations"] / base["operations"]:.2f}',
                    f'{point["bytes"] / MIB:.0f} MiB',
                    f'{point["bytes"] / base["bytes"]:.2f}',
                ]
                for point in points
            ],
        )  # fmt: skip
        letter = AXES[axis][0]
        for name, title, unit, scale in (
            ('seconds', 'seconds', 's', 1), ('operations', 'FLOPs', 'GFLOP', 1e9),
            ('bytes', 'memory', 'MiB', MIB),
        ):  # fmt: skip
            law = laws[name]
            scaled = dict(law, coefficients=[value / scale for value in law['coefficients']])
            as_power = laws.get(f'{name}_power')
            rows.append([
                f'{axis}: {title}', f'{in_words(scaled, letter)} {unit}',
                f'{law["largest_error"]:.1%}',
                f'{letter}^{as_power["exponent"]:.2f}' if as_power else '',
            ])  # fmt: skip
    found['laws'] = markdown(['', 'law', 'largest error', 'as a power'], rows)
    return found


def draw(result: dict, path: Path) -> None:
    """Write an SVG: time above, memory below, a column for each axis.

    Raises:
        UserError: the file cannot be written.
    """
    import matplotlib
    import numpy as np
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    axes = result['axes']
    figure = Figure(figsize=(3.6 * len(axes), 5.6), layout='constrained')
    panels = figure.subplots(2, len(axes), squeeze=False)
    for column, (name, measured) in enumerate(axes.items()):
        points, laws = measured['points'], measured['laws']
        x = [point['value'] for point in points]
        dense = np.linspace(min(x), max(x), 100)
        time, memory = panels[0][column], panels[1][column]
        middle = [point['seconds']['median'] for point in points]
        ends = np.array([[point['seconds'][end] for point in points] for end in ('low', 'high')])
        time.errorbar(x, middle, np.abs(ends - middle), fmt='o', capsize=3, label='measured')
        time.plot(dense, [evaluate(laws['seconds'], value) for value in dense], label='law')
        by_operations = [
            middle[0] * point['operations'] / points[0]['operations'] for point in points
        ]
        time.plot(x, by_operations, ':', label='FLOPs, from the first point')
        time.set_ylabel('seconds per step')
        memory.plot(x, [point['bytes'] / MIB for point in points], 'o', label='measured')
        curve = [evaluate(laws['bytes'], value) / MIB for value in dense]
        memory.plot(dense, curve, label='law')
        memory.set_ylabel('peak of the step, MiB')
        memory.set_xlabel(name)
        for panel in (time, memory):
            panel.set_ylim(bottom=0)
            panel.grid(alpha=0.3)
            panel.legend(fontsize='small')
    # The same result gives the same file.
    with matplotlib.rc_context({'svg.hashsalt': 'growth', 'svg.fonttype': 'none'}):
        FigureCanvasSVG(figure)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, format='svg', metadata=dict(Date=None))
        except OSError as error:
            raise UserError(f'cannot write {path}: {error.strerror}') from error
