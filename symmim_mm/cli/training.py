"""Commands that run a config: train, test, plan, knn, linear."""

import argparse
from collections.abc import Sequence
from functools import partial

from symmim_mm.cli.command import Command, Options, add_options, call
from symmim_mm.config.file import find_config
from symmim_mm.utils.errors import UserError

BRANCH: Options = {
    '--branch': (('online', 'momentum'), 'online', 'which encoder of a SymMIM checkpoint')
}
PLAN: Options = {
    '--gpus': (int, None, 'plan for N processes (default: those launched, or 1)'),
    '--list-parameters': (bool, None, 'name the parameters of every group'),
    '--json': ('FILE', None, 'write the plan there, too'),
}


class OptionsAction(argparse.Action):
    """MMEngine's ``KEY=VALUE`` options, with a parser's error for what is not one.

    MMEngine is imported only where options are given, so that ``--help`` need not wait for it.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str] | None,
        option_string: str | None = None,
    ) -> None:
        """Add the options to those given earlier."""
        from mmengine.config import DictAction

        for text in values or ():
            if not text.partition('=')[0] or '=' not in text:
                parser.error(f"{option_string}: '{text:.80}' is not KEY=VALUE")
        try:
            action = DictAction(self.option_strings, self.dest, nargs='+')
            action(parser, namespace, values, option_string)
        except (AssertionError, ValueError, RecursionError) as error:
            parser.error(f'{option_string}: {error!s:.200}')


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every command that runs a config."""
    parser.add_argument(
        'config', type=find_config, metavar='CONFIG',
        help='a config file, or its name below configs/, e.g. symmim/vit_b_pretrain',
    )  # fmt: skip
    options: Options = {
        '--work-dir': ('DIR', None, 'directory of the run (default: work_dirs/<config>)'),
        '--seed': (int, None, 'random seed (default: that of the config, or 0)'),
    }
    add_options(parser, options)
    add_cfg_options(parser)


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add the option that changes a config."""
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, metavar='KEY=VALUE',
        help='overrides of the config, e.g. train_cfg.max_epochs=2',
    )  # fmt: skip


def add_track_argument(parser: argparse.ArgumentParser) -> None:
    """Add the choice of trackers."""
    parser.add_argument(
        '--track', nargs='+', choices=('tensorboard', 'wandb', 'mlflow'), default=[],
        help='follow the run: scalars and held-out images, in files of the run unless WANDB_MODE '
        'or MLFLOW_TRACKING_URI says otherwise',
    )  # fmt: skip


def _add_launch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that the launch scripts set."""
    parser.add_argument(
        '--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'), default='none',
        help='set by the dist_*.sh and slurm_train.sh scripts',
    )  # fmt: skip
    # Of older launchers; the rank is read from the environment.
    parser.add_argument('--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)


def _add_train(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    options: Options = {
        '--backbone': ('FILE', None, 'pre-trained checkpoint to start from'),
        **BRANCH,
        '--resume': (bool, None, 'continue from the last checkpoint'),
        '--amp': (bool, None, 'mixed precision, bf16 where possible'),
        '--compile': (bool, None, 'compile the model (torch.compile)'),
        '--fsdp': (bool, None, 'shard the model over the processes'),
    }
    add_options(parser, options)
    add_track_argument(parser)
    _add_launch_arguments(parser)
    group = parser.add_argument_group('dry run')
    group.add_argument(
        '--dry-run', action='store_true',
        help='print model size, FLOPs, tokens, schedule, parameter groups, steps and memory, and '
        'stop; needs no data and no GPU',
    )  # fmt: skip
    add_options(group, PLAN)


def _train(args: argparse.Namespace) -> None:
    planning = {name: vars(args).pop(name) for name in ('gpus', 'list_parameters', 'json')}
    if vars(args).pop('dry_run'):
        for name in ('branch', 'resume', 'amp', 'compile', 'fsdp', 'track'):
            delattr(args, name)
        call('apis.plan:dry_run', argparse.Namespace(**vars(args), **planning))
    elif given := [
        name for name, value in planning.items() if value is not None and value is not False
    ]:
        raise UserError(f'--{given[0].replace("_", "-")} belongs to --dry-run')
    else:
        call('apis.train:train', args)


def _add_plan(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    add_options(parser, {'--backbone': ('FILE', None, 'pre-trained checkpoint to start from')})
    _add_launch_arguments(parser)
    add_options(parser, PLAN)


def _add_test(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='of a run of this config')
    _add_launch_arguments(parser)


def _add_evaluation(task: str, parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(task=task)
    add_run_arguments(parser)
    options: Options = {
        '--backbone': ('FILE', None, 'pre-trained checkpoint to encode with'),
        **BRANCH,
        '--amp': (bool, None, 'encode in mixed precision'),
        '--feature-cache': (
            'DIR', None,
            'folder of encoded features (default: .features next to --work-dir; none: keep none)',
        ),
    }  # fmt: skip
    add_options(parser, options)


COMMANDS = {
    'train': Command(
        'Train one config: a pre-training, or a transfer in any of the three libraries.',
        _add_train, _train,
    ),
    'test': Command(
        'Evaluate the checkpoint of a finished run with the test set and metrics of its config.',
        _add_test, 'apis.test:test',
    ),
    'plan': Command(
        'Print what a run will be, without data or GPU: the dry run of `train`.',
        _add_plan, 'apis.plan:dry_run',
    ),
    'knn': Command(
        'Classify frozen features by their nearest neighbors (weighted k-NN).',
        partial(_add_evaluation, 'knn'), 'apis.evaluate:evaluate_features',
    ),
    'linear': Command(
        'Fit a linear classifier on frozen features.',
        partial(_add_evaluation, 'linear'), 'apis.evaluate:evaluate_features',
    ),
}  # fmt: skip
