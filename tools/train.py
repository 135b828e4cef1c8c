#!/usr/bin/env python3
"""Train one config: a pre-training, or a transfer in any of the three libraries."""

import argparse

from symmim_mm import cli


def build_parser() -> argparse.ArgumentParser:
    from symmim_mm.apis.arguments import add_train_arguments

    parser = argparse.ArgumentParser(description=__doc__)
    add_train_arguments(parser)
    return parser


def main(args: argparse.Namespace) -> None:
    from symmim_mm.apis.plan import dry_run, wants_dry_run

    if wants_dry_run(args):
        dry_run(args)
        return
    from symmim_mm.apis.train import train

    train(
        args.config, work_dir=args.work_dir, backbone=args.backbone, resume=args.resume,
        amp=args.amp, compile=args.compile, fsdp=args.fsdp, seed=args.seed,
        cfg_options=args.cfg_options, launcher=args.launcher,
    )  # fmt: skip


if __name__ == '__main__':
    cli.run(main, build_parser)
