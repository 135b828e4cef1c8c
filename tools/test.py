#!/usr/bin/env python3
"""Evaluate the checkpoint of a finished run with the test set and metrics of its config."""

import argparse

from symmim_mm import cli


def build_parser() -> argparse.ArgumentParser:
    from symmim_mm.apis.arguments import add_test_arguments

    parser = argparse.ArgumentParser(description=__doc__)
    add_test_arguments(parser)
    return parser


def main(args: argparse.Namespace) -> None:
    from symmim_mm.apis.test import test

    test(
        args.config, args.checkpoint, work_dir=args.work_dir, seed=args.seed,
        cfg_options=args.cfg_options, launcher=args.launcher,
    )  # fmt: skip


if __name__ == '__main__':
    cli.run(main, build_parser)
