#!/usr/bin/env python3
"""Fit a linear classifier on frozen features."""

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

    evaluate(args, 'linear')


if __name__ == '__main__':
    cli.run(main, build_parser)
