#!/usr/bin/env python3
"""Train one config: a pre-training, or a transfer in any of the three libraries."""

import argparse

from symmim_mm import cli


def build_parser() -> argparse.ArgumentParser:
    from symmim_mm.apis.plan import add_dry_run_arguments
    from symmim_mm.config.load import add_run_arguments
    from symmim_mm.engine.launch import add_launch_arguments

    parser = argparse.ArgumentParser(description=__doc__)
    add_run_arguments(parser)
    parser.add_argument('--backbone', metavar='FILE', help='pre-trained checkpoint to start from')
    parser.add_argument('--resume', action='store_true', help='go on from the last checkpoint')
    parser.add_argument('--amp', action='store_true', help='mixed precision, bf16 where possible')
    parser.add_argument('--compile', action='store_true', help='compile the model (torch.compile)')
    parser.add_argument('--fsdp', action='store_true', help='share the model over the processes')
    add_launch_arguments(parser)
    add_dry_run_arguments(parser)
    return parser


def main(args: argparse.Namespace) -> None:
    from symmim_mm.apis.plan import dry_run, wants_dry_run

    if wants_dry_run(args):
        dry_run(args)
        return
    from symmim_mm.apis.train import train

    train(args)


if __name__ == '__main__':
    cli.run(main, build_parser)
