#!/usr/bin/env python3
"""Classify frozen features by their nearest neighbours (weighted k-NN)."""

import argparse

from symmim_mm import cli


def build_parser() -> argparse.ArgumentParser:
    from symmim_mm.config.load import add_run_arguments

    parser = argparse.ArgumentParser(description=__doc__)
    add_run_arguments(parser)
    parser.add_argument('--backbone', metavar='FILE', help='pre-trained checkpoint to encode with')
    return parser


def main(args: argparse.Namespace) -> None:
    from symmim_mm.apis.evaluate import evaluate

    evaluate(args, 'knn')


if __name__ == '__main__':
    cli.run(main, build_parser)
