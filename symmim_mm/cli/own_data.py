"""Commands for one's own labels and weights: finetune, detect, segment, predict, embed."""

import argparse
from functools import partial
from importlib import import_module

from symmim_mm.cli.command import Command
from symmim_mm.cli.run import importing_libraries
from symmim_mm.utils.errors import UserError

EPILOG = """\
Without --val a share of the images is held out; --val 0.3 holds out another, --val none nothing.
The config that is trained is written into DIR/plan: change it there, and train it with `symmim
train`. The same command again continues an interrupted run.
"""
PREDICT_EPILOG = """\
OUT gets predictions.json and a drawing of each image; docs/own_data.md describes the JSON. The
config next to the checkpoint is a program that is run: only use runs that you trust.
"""
# Arguments of each task, and what --val takes besides a share.
DATA = {
    'finetune': ((('data', 'FOLDER|LIST', 'class folders, or a file of paths and classes'),), 1),
    'detect': (
        (
            ('annotations', 'COCO.json', 'objects in COCO\'s format, with or without masks'),
            ('images', 'IMAGES', 'folder that its file names are relative to'),
        ),
        2,
    ),
    'segment': (
        (
            ('images', 'IMAGES', 'folder of images'),
            ('masks', 'MASKS', 'folder of label maps by the same names'),
        ),
        2,
    ),
}  # fmt: skip


def _add_transfer(task: str, parser: argparse.ArgumentParser) -> None:
    arguments, _ = DATA[task]
    for name, metavar, text in arguments:
        parser.add_argument(name, metavar=metavar, help=text)
    parser.add_argument(
        '--val', nargs='+', default=['0.2'], metavar='DATA',
        help=f'{" ".join(metavar for _, metavar, _ in arguments)} to validate on, a share to hold '
        'out, or none (default: 0.2)',
    )  # fmt: skip
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        '--backbone', metavar='FILE',
        help='checkpoint to start from: one of ours, of MAE, timm, Hugging Face, DINO, MoCo v3',
    )  # fmt: skip
    start.add_argument(
        '--model', choices=('vit-ti', 'vit-s', 'vit-b', 'vit-l'),
        help='without a backbone (default vit-ti)',
    )  # fmt: skip
    parser.add_argument('--heads', type=int, help='attention heads, if the checkpoint does not say')
    parser.add_argument(
        '--labels', type=float, default=1.0, metavar='SHARE',
        help='share of the labels to train with (default 1.0)',
    )  # fmt: skip
    parser.add_argument(
        '--image-size', type=int, metavar='N',
        help='side in pixels (default: from backbone and images)',
    )  # fmt: skip
    length = parser.add_mutually_exclusive_group()
    length.add_argument('--budget', default='1h', help='most time for the training (default 1h)')
    length.add_argument('--epochs', type=int, help='passes over the labeled images')
    parser.add_argument('--out', metavar='DIR', help='(default: work_dirs/NAME-TASK)')
    parser.add_argument('--seed', type=int, default=0, help='random seed (default 0)')
    parser.add_argument('--workers', type=int, help='loader processes (default: cores less one)')


def _transfer(task: str, args: argparse.Namespace) -> None:
    arguments, most = DATA[task]
    options = vars(args)
    data = [options.pop(name) for name, _, _ in arguments]
    options['val'] = _validation(options['val'], most)
    with importing_libraries():
        function = getattr(import_module(f'symmim_mm.apis.{task}'), task)
    function(*data, **options)


def _validation(words: list[str], most: int) -> str | tuple[str, ...] | float | None:
    """Return what ``--val`` names: data, a share, or nothing."""
    if words == ['none']:
        return None
    if len(words) == 1:
        try:
            return float(words[0])
        except ValueError:
            pass
    if len(words) != most:
        raise UserError(
            f'--val {" ".join(words)}: must be a share such as 0.2, none, or '
            f'{most} path{"s" if most > 1 else ""}'
        )
    return tuple(words) if most > 1 else words[0]


SUMMARIES = {
    'finetune': 'Fine-tune a classifier on class folders, or on a list of images with classes.',
    'detect': 'Train Mask R-CNN on a COCO annotation file and a folder of images.',
    'segment': 'Train UperNet on a folder of images and one of label maps.',
}


def _add_use(out: str, parser: argparse.ArgumentParser) -> None:
    parser.add_argument('run', metavar='RUN|CHECKPOINT', help='folder of a run, or a checkpoint')
    parser.add_argument('images', metavar='IMAGES', nargs='+', help='image files and folders')
    parser.add_argument('--out', default=out, help=f'(default: {out})')


def _predict(args: argparse.Namespace) -> None:
    with importing_libraries():
        from symmim_mm.apis.predict import predict

    predict(**vars(args))


def _add_embed(parser: argparse.ArgumentParser) -> None:
    _add_use('features.npz', parser)
    parser.add_argument('--heads', type=int, help='attention heads, if the checkpoint does not say')


def _embed(args: argparse.Namespace) -> None:
    with importing_libraries():
        from symmim_mm.apis.embed import embed

    embed(**vars(args))


COMMANDS = {
    task: Command(summary, partial(_add_transfer, task), partial(_transfer, task), EPILOG)
    for task, summary in SUMMARIES.items()
} | {
    'predict': Command(
        'Predict images with a finished run: classes, boxes and masks, or label maps.',
        partial(_add_use, 'predictions'), _predict, PREDICT_EPILOG,
    ),
    'embed': Command('Write the features of images into a file.', _add_embed, _embed),
}  # fmt: skip
