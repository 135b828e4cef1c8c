#!/usr/bin/env python3
"""Resize a folder of images once, into files that are read in sequence."""

import argparse

from symmim_mm import cli

EPILOG = """\
OUT afterwards holds
  shard-00000.tar ...   JPEGs, dealt to the shards at random; plain tar files
  images.safetensors    where in them each image is, and its class
  manifest.json         options, classes, counts, sha256 of list and shards

Use it in place of the folder SRC: train_dataloader.dataset.data_root=... Crops are then made of
the smaller images: choose --short-side with the size of the crops in mind. Stopped at any time,
by Ctrl-C, a full disk or a kill, the same command continues with the shards that are missing.

example: tools/prepare_dataset.py data/imagenet/train data/imagenet_320/train --jobs 16
"""


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('src', metavar='SRC', help='folder of images; sub-folders are classes')
    parser.add_argument('out', metavar='OUT', help='folder to write')
    options = [
        ('--short-side', 320, 'pixels of the shorter side; smaller images stay as they are'),
        ('--quality', 90, 'JPEG quality'),
        ('--shard-images', 2048, 'images of a shard'),
        ('--seed', 0, 'of the dealing of images to shards'),
        ('--jobs', 1, 'processes'),
    ]
    for name, default, text in options:
        parser.add_argument(
            name, type=int, default=default, metavar='N', help=f'{text} (default {default})'
        )
    parser.add_argument(
        '--skip-unreadable', action='store_true', help='leave out what cannot be decoded'
    )
    parser.add_argument(
        '--verify', action='store_true', help='only compare the files in OUT with their hashes'
    )
    return parser


def main(args: argparse.Namespace) -> None:
    """Run the command."""
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


if __name__ == '__main__':
    cli.run(main, build_parser)
