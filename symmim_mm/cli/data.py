"""Commands for datasets: check, prepare, sample-data."""

import argparse

from symmim_mm.cli.command import Command, Options, add_options, call

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


def _add_check(parser: argparse.ArgumentParser) -> None:
    from symmim_mm.datacheck.check import default_workers
    from symmim_mm.datacheck.image import MAX_PIXELS

    checks = parser.add_subparsers(dest='layout', required=True, metavar='LAYOUT')
    imagenet = checks.add_parser('imagenet', help='ROOT/{train,val}/<class>/, with labels')
    folder = checks.add_parser('folder', help='any folder of images, for pre-training')
    coco = checks.add_parser('coco', help='ROOT/{annotations,train2017,val2017}, or a file')
    ade20k = checks.add_parser('ade20k', help='ROOT/{images,annotations}/{training,validation}')
    own: Options = {
        '--train': ('NAME', 'train', 'its training folder'),
        '--val': ('NAME', 'val', 'its validation folder'),
    }
    add_options(imagenet, own)
    add_options(coco, {'--images': ('DIR', None, 'folder of the images, where ROOT is a file')})
    classes = (
        'how many classes there must be, or a file of their names, one a line (default: those of '
        'the full dataset, others are a notice)'
    )
    state = (
        'record there what was checked: an interrupted check continues, an unchanged image is not '
        'checked again'
    )
    options: Options = {
        '--quick': (bool, None, 'read headers only, decode no image'),
        '--strict': (bool, None, 'notices, too, end with exit code 2'),
        '--json': ('FILE', None, 'write the findings there as well'),
        '--state': ('FILE', None, state),
        '--workers': (int, default_workers(), 'processes, one for each processor up to 16'),
        '--max-pixels': (int, MAX_PIXELS, 'pixels above which an image is not decoded'),
        '--limit': (int, 10, 'findings of a kind that are printed'),
    }
    for layout in (imagenet, folder, coco, ade20k):
        layout.add_argument('root', metavar='ROOT', help='the folder of the dataset')
        if layout is not folder:
            add_options(layout, {'--classes': ('N|FILE', None, classes)})
        add_options(layout, options)


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
    options: Options = {
        '--short-side': (int, 320, 'pixels of the shorter side; smaller images stay as they are'),
        '--quality': (int, 90, 'JPEG quality'),
        '--shard-images': (int, 2048, 'images of a shard'),
        '--seed': (int, 0, 'of the distribution of images over shards'),
        '--jobs': (int, 1, 'processes'),
        '--skip-unreadable': (bool, None, 'leave out what cannot be decoded'),
        '--verify': (bool, None, 'only compare the files in OUT with their hashes'),
    }
    add_options(parser, options)


def _prepare(args: argparse.Namespace) -> None:
    from symmim_mm.datasets.shards.prepare import prepare
    from symmim_mm.datasets.shards.reader import verify

    options = vars(args)
    if options.pop('verify'):
        found = verify(args.out)
        counts = f'{len(found.shards)} shards with {found.images} images'
        print(f'{args.out}: {counts} are as they were written')
        return
    manifest = prepare(options.pop('src'), **options)
    size = sum(shard.bytes for shard in manifest.shards)
    shards = f'{len(manifest.shards)} shards, {size / 1e9:.2f} GB'
    print(f'{args.out}: {manifest.images} images in {shards}')
    if manifest.skipped:
        print(f'left out, see manifest.json: {len(manifest.skipped)} unreadable images')


def _add_sample(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('out', metavar='OUT', help='folder to write; must not hold other files')
    options: Options = {
        '--seed': (int, 0, 'random seed, 0 or more'),
        '--size': (int, 96, 'side of the detection and segmentation images, in pixels'),
        '--class-size': (int, 72, 'side of the classification images, in pixels'),
        '--train': (int, 2000, 'classification images to train on'),
        '--val': (int, 500, 'classification images to validate on'),
        '--coco-train': (int, 300, 'detection images to train on'),
        '--coco-val': (int, 100, 'detection images to validate on'),
        '--ade-train': (int, 300, 'segmentation images to train on'),
        '--ade-val': (int, 100, 'segmentation images to validate on'),
    }
    add_options(parser, options)


def _sample(args: argparse.Namespace) -> None:
    from symmim_mm.datacheck.check import default_workers

    args.workers = default_workers()
    manifest = call('datasets.sample.generate:write_sample_data', args)
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
