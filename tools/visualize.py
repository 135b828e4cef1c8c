#!/usr/bin/env python3
"""Draw masks, reconstructions, attention, detections or segmentations as PNG files."""

import argparse

from symmim_mm import cli


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='KIND')
    masks = kinds.add_parser('masks', help='the masks that a pre-training config draws')
    masks.add_argument('config', help='a pre-training config')
    for name, text in (
        ('reconstruct', 'masked and reconstructed pictures of a pre-training'),
        ('attention', 'where the class token of a pre-training looks'),
        ('detect', 'annotated and predicted instances'),
        ('segment', 'true and predicted classes'),
    ):
        kind = kinds.add_parser(name, help=text)
        kind.add_argument('config', help='the config of the run')
        kind.add_argument('checkpoint', help='a checkpoint of that run')
        if name in ('reconstruct', 'attention'):
            kind.add_argument('pictures', nargs='+', help='picture files')
        else:
            kind.add_argument('--count', type=int, default=6, help='pictures of its validation set')
    for kind in kinds.choices.values():
        kind.add_argument('--out', default='pictures', help='folder for the PNG files')
        kind.add_argument('--seed', type=int, default=0, help='seed of the masks')
    return parser


def main(args: argparse.Namespace) -> None:
    from symmim_mm.apis.visualize import draw

    for path in draw(args):
        print(path)


if __name__ == '__main__':
    cli.run(main, build_parser())
