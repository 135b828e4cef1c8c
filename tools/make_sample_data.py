#!/usr/bin/env python3
"""Draw the sample data: images of shapes for classification, detection and segmentation."""

import argparse

from symmim_mm import cli

EPILOG = """\
OUT afterwards holds
  imagenet/{train,val}/<class>/*.png           ImageNet folders; 10 classes = shape x pattern
  coco/{train2017,val2017}/*.png               COCO instances of 6 shapes, with
  coco/annotations/instances_*.json            boxes and masks
  ade20k/{images,annotations}/{training,validation}/*.png
                                               label maps: 0 unlabelled, 1-6 shapes, 7 sky, 8 ground
  manifest.json                                options, class names, sha256 over all files

The same options give the same files every time. If OUT already holds them, nothing is done; a
folder that holds anything else is left alone.

example: tools/make_sample_data.py work_dirs/quickstart/data
"""


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('out', metavar='OUT', help='folder to write; must not hold other files')
    options = [
        ('--seed', 0, 'random seed, 0 or more'),
        ('--size', 96, 'side of the detection and segmentation images, in pixels'),
        ('--class-size', 72, 'side of the classification images, in pixels'),
        ('--train', 2000, 'classification images to train on'),
        ('--val', 500, 'classification images to validate on'),
        ('--coco-train', 300, 'detection images to train on'),
        ('--coco-val', 100, 'detection images to validate on'),
        ('--ade-train', 300, 'segmentation images to train on'),
        ('--ade-val', 100, 'segmentation images to validate on'),
    ]
    for name, default, text in options:
        parser.add_argument(
            name, type=int, default=default, metavar='N', help=f'{text} (default {default})'
        )
    return parser


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    from symmim_mm.datasets.sample.generate import write_sample_data

    manifest = write_sample_data(**vars(args))
    images = sum(sum(splits.values()) for splits in manifest['counts'].values())
    print(f'{args.out}: {images} images, sha256 {manifest["sha256"]}')


if __name__ == '__main__':
    cli.run(main, build_parser())
