"""Command lines of training and testing; importing this imports no torch."""

import argparse

from symmim_mm.config.load import add_run_arguments

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of :func:`symmim_mm.apis.train.train` and of its dry run."""
    add_run_arguments(parser)
    parser.add_argument('--backbone', metavar='FILE', help='pre-trained checkpoint to start from')
    parser.add_argument('--resume', action='store_true', help='resume from the last checkpoint')
    parser.add_argument('--amp', action='store_true', help='mixed precision, bf16 where possible')
    parser.add_argument('--compile', action='store_true', help='compile the model (torch.compile)')
    parser.add_argument('--fsdp', action='store_true', help='shard the model over the processes')
    add_launch_arguments(parser)
    add_dry_run_arguments(parser)


def add_test_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of :func:`symmim_mm.apis.test.test`."""
    add_run_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint of a run of this config')
    add_launch_arguments(parser)


def add_launch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that the launch scripts set."""
    parser.add_argument(
        '--launcher',
        choices=LAUNCHERS,
        default='none',
        help='set by the dist_*.sh and slurm_train.sh scripts',
    )
    parser.add_argument('--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)


def add_dry_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a dry run."""
    group = parser.add_argument_group('dry run')
    group.add_argument(
        '--dry-run',
        action='store_true',
        help='print model size, FLOPs, tokens, schedule, parameter groups, steps and memory, and '
        'stop; needs no data and no GPU',
    )
    group.add_argument(
        '--gpus', type=int, metavar='N', help='plan for N processes (default: those launched, or 1)'
    )
    group.add_argument(
        '--list-parameters', action='store_true', help='name the parameters of every group'
    )
    group.add_argument('--json', metavar='FILE', help='write the plan there, too')
