#!/usr/bin/env python3
"""Evaluate the checkpoint of a finished run with the test set and metrics of its config."""

import argparse

from symmim_mm import cli


def build_parser() -> argparse.ArgumentParser:
    from symmim_mm.config.load import add_run_arguments
    from symmim_mm.engine.launch import add_launch_arguments

    parser = argparse.ArgumentParser(description=__doc__)
    add_run_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint of a run of this config')
    add_launch_arguments(parser)
    return parser


def main(args: argparse.Namespace) -> None:
    from symmim_mm.apis.test import evaluate_checkpoint

    evaluate_checkpoint(args)


if __name__ == '__main__':
    cli.run(main, build_parser)
