"""Commands for one's own images: pretrain, finetune, detect, segment, predict, embed."""

import argparse
from contextlib import suppress
from functools import partial

from symmim_mm.cli.command import Command, Options, add_options, call
from symmim_mm.cli.training import add_track_argument

EPILOG = """\
Without --val a share of the images is held out; --val 0.3 holds out another, --val none nothing.
The config that is trained is written into DIR/plan: change it there, and train it with `symmim
train`. The same command again continues an interrupted run.
"""
PREDICT_EPILOG = """\
OUT gets predictions.json and a drawing of each image; docs/own_data.md describes the JSON. The
config next to the checkpoint is a program that is run: only use runs that you trust.
"""
SUMMARIES = {
    'finetune': 'Fine-tune a classifier on class folders, or on a list of images with classes.',
    'detect': 'Train Mask R-CNN on a COCO annotation file and a folder of images.',
    'segment': 'Train UperNet on a folder of images and one of label maps.',
}
# Data of each task, which --val takes as well.
DATA = {
    'finetune': [('data', 'FOLDER|LIST', 'class folders, or a file of paths and classes')],
    'detect': [
        ('annotations', 'COCO.json', "objects in COCO's format, with or without masks"),
        ('images', 'IMAGES', 'folder that its file names are relative to'),
    ],
    'segment': [
        ('images', 'IMAGES', 'folder of images'),
        ('masks', 'MASKS', 'folder of label maps by the same names'),
    ],
}
WEIGHTS = 'checkpoint to start from: one of ours, of MAE, timm, Hugging Face, DINO, MoCo v3'
MODEL: Options = {
    '--model': (('vit-ti', 'vit-s', 'vit-b', 'vit-l'), None, 'for a random start (default: vit-ti)')
}
HEADS: Options = {'--heads': (int, None, 'attention heads, if the checkpoint does not say')}
LENGTH: Options = {
    '--budget': ('TIME', '1h', 'time for the training'),
    '--epochs': (int, None, 'passes over the images'),
}
RUN: Options = {
    '--out': ('DIR', None, 'where everything goes (default: work_dirs/NAME-TASK)'),
    '--seed': (int, 0, 'random seed'),
    '--workers': (int, None, 'loader processes (default: cores less one)'),
}


def _add_pretrain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('folder', metavar='FOLDER', help='images, sub-folders included')
    side = "side in pixels (default: that of --init, else the images' own, 224 at most)"
    options: Options = {
        '--method': (('symmim', 'mae', 'simmim'), 'symmim', 'of pre-training'),
        **MODEL,
        '--init': ('FILE', None, WEIGHTS),
        **HEADS,
        '--image-size': (int, None, side),
        '--channels': (int, None, 'of the images (default: those of --init, or 3)'),
        **RUN,
        '--projection': (
            ('pca', 'tsne'), 'pca', "map of the embedding; tsne: pip install '.[tsne]'",
        ),
    }  # fmt: skip
    add_options(parser, options)
    length = parser.add_mutually_exclusive_group()
    add_options(length, LENGTH | {'--steps': (int, None, 'optimizer steps')})
    add_track_argument(parser)


def _add_transfer(task: str, parser: argparse.ArgumentParser) -> None:
    for name, metavar, text in DATA[task]:
        parser.add_argument(name, metavar=metavar, help=text)
    names = ' '.join(metavar for _, metavar, _ in DATA[task])
    default = 'val/ or test/ next to train/, or 0.2' if task == 'finetune' else '0.2'
    parser.add_argument(
        '--val', nargs='+', metavar='DATA',
        help=f'{names} to validate on, a share to hold out, or none (default: {default})',
    )  # fmt: skip
    start = parser.add_mutually_exclusive_group()
    add_options(start, {'--backbone': ('FILE', None, WEIGHTS)} | MODEL)
    options: Options = {
        **HEADS,
        '--labels': (float, 1.0, 'share of the labels to train with'),
        '--image-size': (int, None, 'side in pixels (default: from backbone and images)'),
        **RUN,
    }
    add_options(parser, options)
    add_options(parser.add_mutually_exclusive_group(), LENGTH)


def _transfer(task: str, args: argparse.Namespace) -> None:
    if args.val is None:
        del args.val
    else:
        args.val = validation(args.val)
    call(f'apis.own_data.{task}:{task}', args)


def validation(words: list[str]) -> str | list[str] | float | None:
    """Return what ``--val`` names: one path or several, a share, or nothing."""
    if len(words) > 1:
        return words
    with suppress(ValueError):
        return float(words[0])
    return None if words == ['none'] else words[0]


def _add_use(out: str, parser: argparse.ArgumentParser) -> None:
    parser.add_argument('run', metavar='RUN|CHECKPOINT', help='folder of a run, or a checkpoint')
    parser.add_argument('images', metavar='IMAGES', nargs='+', help='image files and folders')
    add_options(parser, {'--out': ('PATH', out, 'where to write')})


def _add_embed(parser: argparse.ArgumentParser) -> None:
    _add_use('features.npz', parser)
    add_options(parser, HEADS)


COMMANDS = {
    'pretrain': Command(
        'Pre-train on a folder of images and write a page of what was learned.',
        _add_pretrain, 'apis.own_data.pretrain:pretrain',
        'The same command again continues an interrupted run.',
    ),
    **{
        task: Command(summary, partial(_add_transfer, task), partial(_transfer, task), EPILOG)
        for task, summary in SUMMARIES.items()
    },
    'predict': Command(
        'Predict images with a finished run: classes, boxes and masks, or label maps.',
        partial(_add_use, 'predictions'), 'apis.predict:predict', PREDICT_EPILOG,
    ),
    'embed': Command('Write the features of images into a file.', _add_embed, 'apis.embed:embed'),
}  # fmt: skip
