"""Commands for datasets: check, prepare, sample-data."""

import argparse

from symmim_mm.cli.command import Command

CHECK_EPILOG = """\
A problem stops a training or makes it learn or measure something wrong; it ends the command with
exit code 2. A notice is harmless, for example a number of images that is not the official one.
docs/data.md lists the layouts and every kind of finding.

examples:
  %(prog)s imagenet data/imagenet --state imagenet.state
  %(prog)s folder /data/images --quick
  %(prog)s coco data/coco --json coco.json
  %(prog)s ade20k data/ade/ADEChallengeData2016
"""
PREPARE_EPILOG = """\
OUT afterwards holds
  shard-00000.tar ...   JPEGs, distributed over the shards at random; plain tar files
  images.safetensors    where in them each image is, and its class
  manifest.json         options, classes, counts, sha256 of list and shards

Use it in place of the folder SRC: train_dataloader.dataset.data_root=... Crops are then taken from
the smaller images: choose --short-side with the size of the crops in mind. Stopped at any time,
by Ctrl-C, a full disk or a kill, the same command continues with the shards that are missing.

example: %(prog)s data/imagenet/train data/imagenet_320/train --jobs 16
"""
SAMPLE_EPILOG = """\
OUT afterwards holds
  imagenet/{train,val}/<class>/*.png           ImageNet folders; 10 classes = shape x pattern
  coco/{train2017,val2017}/*.png               COCO instances of 6 shapes, with
  coco/annotations/instances_*.json            boxes and masks
  ade20k/{images,annotations}/{training,validation}/*.png
                                               label maps: 0 unlabeled, 1-6 shapes, 7 sky, 8 ground
  manifest.json                                options, class names, sha256 over all files

The same options give the same files every time. If OUT already holds them, nothing is done; a
folder that holds anything else is left alone.

example: %(prog)s work_dirs/quickstart/data
"""


def _add_integers(parser: argparse.ArgumentParser, options: dict[str, tuple[int, str]]) -> None:
    for name, (default, text) in options.items():
        parser.add_argument(
            name, type=int, default=default, metavar='N', help=f'{text} (default {default})'
        )


def _add_check(parser: argparse.ArgumentParser) -> None:
    from symmim_mm.datacheck.check import default_workers
    from symmim_mm.datacheck.image import MAX_PIXELS

    checks = parser.add_subparsers(dest='layout', required=True, metavar='LAYOUT')
    imagenet = checks.add_parser('imagenet', help='ROOT/{train,val}/<class>/, with labels')
    imagenet.add_argument('--train', default='train', metavar='NAME', help='its training folder')
    imagenet.add_argument('--val', default='val', metavar='NAME', help='its validation folder')
    folder = checks.add_parser('folder', help='any folder of images, for pre-training')
    coco = checks.add_parser('coco', help='ROOT/{annotations,train2017,val2017}, or a file')
    coco.add_argument('--images', metavar='DIR', help='folder of the images, where ROOT is a file')
    ade20k = checks.add_parser('ade20k', help='ROOT/{images,annotations}/{training,validation}')
    for layout in (imagenet, folder, coco, ade20k):
        layout.add_argument('root', metavar='ROOT', help='the folder of the dataset')
        if layout is not folder:
            layout.add_argument(
                '--classes', metavar='N|FILE',
                help='how many classes there must be, or a file of their names, one a line '
                '(default: those of the full dataset, others are a notice)',
            )  # fmt: skip
        layout.add_argument(
            '--quick', action='store_true', help='read headers only, decode no image'
        )
        layout.add_argument(
            '--strict', action='store_true', help='notices, too, end with exit code 2'
        )
        layout.add_argument('--json', metavar='FILE', help='write the findings there as well')
        layout.add_argument(
            '--state', metavar='FILE',
            help='record there what was checked: an interrupted check continues, an unchanged '
            'image is not checked again',
        )  # fmt: skip
        options = {
            '--workers': (default_workers(), 'processes, one for each processor up to 16'),
            '--max-pixels': (MAX_PIXELS, 'pixels above which an image is not decoded but reported'),
            '--limit': (10, 'findings of a kind that are printed'),
        }
        _add_integers(layout, options)


def _check(args: argparse.Namespace) -> None:
    from symmim_mm.datacheck.check import check, read_classes

    options = vars(args)
    classes = read_classes(options.pop('classes', None))
    if args.layout == 'imagenet':
        options['splits'] = (options.pop('train'), options.pop('val'))
    check(classes=classes, json_file=options.pop('json'), **options)


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('src', metavar='SRC', help='folder of images; sub-folders are classes')
    parser.add_argument('out', metavar='OUT', help='folder to write')
    options = {
        '--short-side': (320, 'pixels of the shorter side; smaller images stay as they are'),
        '--quality': (90, 'JPEG quality'),
        '--shard-images': (2048, 'images of a shard'),
        '--seed': (0, 'of the distribution of images over shards'),
        '--jobs': (1, 'processes'),
    }
    _add_integers(parser, options)
    parser.add_argument(
        '--skip-unreadable', action='store_true', help='leave out what cannot be decoded'
    )
    parser.add_argument(
        '--verify', action='store_true', help='only compare the files in OUT with their hashes'
    )


def _prepare(args: argparse.Namespace) -> None:
    from symmim_mm.datasets.shards.prepare import prepare
    from symmim_mm.datasets.shards.reader import verify

    options = vars(args)
    if options.pop('verify'):
        found = verify(args.out)
        print(
            f'{args.out}: {len(found.shards)} shards with {found.images} images are as they were '
            'written'
        )
        return
    manifest = prepare(options.pop('src'), **options)
    size = sum(shard.bytes for shard in manifest.shards)
    shards = f'{len(manifest.shards)} shards, {size / 1e9:.2f} GB'
    print(f'{args.out}: {manifest.images} images in {shards}')
    if manifest.skipped:
        print(f'left out, see manifest.json: {len(manifest.skipped)} unreadable images')


def _add_sample(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('out', metavar='OUT', help='folder to write; must not hold other files')
    options = {
        '--seed': (0, 'random seed, 0 or more'),
        '--size': (96, 'side of the detection and segmentation images, in pixels'),
        '--class-size': (72, 'side of the classification images, in pixels'),
        '--train': (2000, 'classification images to train on'),
        '--val': (500, 'classification images to validate on'),
        '--coco-train': (300, 'detection images to train on'),
        '--coco-val': (100, 'detection images to validate on'),
        '--ade-train': (300, 'segmentation images to train on'),
        '--ade-val': (100, 'segmentation images to validate on'),
    }
    _add_integers(parser, options)


def _sample(args: argparse.Namespace) -> None:
    from symmim_mm.datasets.sample.generate import write_sample_data

    manifest = write_sample_data(**vars(args))
    images = sum(sum(splits.values()) for splits in manifest['counts'].values())
    print(f'{args.out}: {images} images, sha256 {manifest["sha256"]}')


COMMANDS = {
    'check': Command(
        'Check a dataset before training on it: layout, counts, classes, annotations, every image.',
        _add_check, _check, CHECK_EPILOG,
    ),
    'prepare': Command(
        'Resize a folder of images once, into shards that are read in sequence.',
        _add_prepare, _prepare, PREPARE_EPILOG,
    ),
    'sample-data': Command(
        'Draw the sample data: images of shapes for classification, detection and segmentation.',
        _add_sample, _sample, SAMPLE_EPILOG,
    ),
}  # fmt: skip
