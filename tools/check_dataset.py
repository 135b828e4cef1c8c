#!/usr/bin/env python3
"""Check a dataset before training on it: layout, counts, classes, annotations, every image."""

import argparse

from symmim_mm import cli

EPILOG = """\
A problem stops a training or makes it learn or measure something wrong; it ends the command with
exit code 2. A notice is harmless, for example a number of images that is not the official one.
docs/data.md lists the layouts and every kind of finding.

examples:
  tools/check_dataset.py imagenet data/imagenet --state imagenet.state
  tools/check_dataset.py folder /data/images --quick
  tools/check_dataset.py coco data/coco --json coco.json
  tools/check_dataset.py ade20k data/ade/ADEChallengeData2016
"""


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    from symmim_mm.datacheck.check import default_workers
    from symmim_mm.datacheck.image import MAX_PIXELS

    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    layouts = parser.add_subparsers(dest='layout', required=True, metavar='LAYOUT')
    imagenet = layouts.add_parser('imagenet', help='ROOT/{train,val}/<class>/, with labels')
    imagenet.add_argument('--train', default='train', metavar='NAME', help='its training folder')
    imagenet.add_argument('--val', default='val', metavar='NAME', help='its validation folder')
    folder = layouts.add_parser('folder', help='any folder of images, for pre-training')
    coco = layouts.add_parser('coco', help='ROOT/{annotations,train2017,val2017}')
    ade20k = layouts.add_parser('ade20k', help='ROOT/{images,annotations}/{training,validation}')
    for layout in (imagenet, folder, coco, ade20k):
        layout.add_argument('root', metavar='ROOT', help='the folder of the dataset')
        if layout is not folder:
            layout.add_argument(
                '--classes',
                metavar='N|FILE',
                help='how many classes there must be, or a file of their names, one a line '
                '(default: those of the full dataset, others are a notice)',
            )
        layout.add_argument(
            '--quick', action='store_true', help='read headers only, decode no image'
        )
        layout.add_argument(
            '--strict', action='store_true', help='notices, too, end with exit code 2'
        )
        layout.add_argument('--json', metavar='FILE', help='write the findings there as well')
        layout.add_argument(
            '--state',
            metavar='FILE',
            help='note there what was checked: an interrupted check continues, an unchanged image '
            'is not checked again',
        )
        layout.add_argument(
            '--workers',
            type=int,
            default=default_workers(),
            metavar='N',
            help='processes (default: one for each processor, at most 16)',
        )
        layout.add_argument(
            '--max-pixels',
            type=int,
            default=MAX_PIXELS,
            metavar='N',
            help=f'pixels above which an image is not decoded but reported (default {MAX_PIXELS})',
        )
        layout.add_argument(
            '--limit', type=int, default=10, metavar='N', help='findings of a kind that are printed'
        )
    return parser


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    from symmim_mm.datacheck.check import check, read_classes

    options = vars(args)
    classes = read_classes(options.pop('classes', None))
    if args.layout == 'imagenet':
        options['splits'] = (options.pop('train'), options.pop('val'))
    check(classes=classes, json_file=options.pop('json'), **options)


if __name__ == '__main__':
    cli.run(main, build_parser)
