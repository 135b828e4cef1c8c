"""Commands that run a config: train, test, plan, knn, linear."""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

from symmim_mm.cli.command import Command
from symmim_mm.cli.run import importing_libraries
from symmim_mm.config.file import find_config
from symmim_mm.utils.errors import UserError

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')


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
    parser.add_argument('--work-dir', help='directory of the run (default: work_dirs/<config>)')
    parser.add_argument('--seed', type=int, help='random seed (default: that of the config, or 0)')
    add_cfg_options(parser)


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add the option that changes a config."""
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, metavar='KEY=VALUE',
        help='overrides of the config, e.g. train_cfg.max_epochs=2',
    )  # fmt: skip


def _add_backbone_argument(parser: argparse.ArgumentParser, purpose: str = 'start from') -> None:
    parser.add_argument('--backbone', metavar='FILE', help=f'pre-trained checkpoint to {purpose}')


def add_branch_argument(parser: argparse.ArgumentParser) -> None:
    """Add the choice between the two encoders of a SymMIM checkpoint."""
    parser.add_argument(
        '--branch', choices=('online', 'momentum'), default='online',
        help='which encoder of a SymMIM checkpoint (default: online)',
    )  # fmt: skip


def _add_track_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--track', nargs='+', choices=('tensorboard', 'wandb', 'mlflow'), default=[],
        help='follow the run: scalars and held-out images, in files of the run unless WANDB_MODE '
        'or MLFLOW_TRACKING_URI says otherwise',
    )  # fmt: skip


def _add_launch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that the launch scripts set."""
    parser.add_argument(
        '--launcher', choices=LAUNCHERS, default='none',
        help='set by the dist_*.sh and slurm_train.sh scripts',
    )  # fmt: skip
    # Of older launchers; the rank is read from the environment.
    parser.add_argument('--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)


def _add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--gpus', type=int, metavar='N', help='plan for N processes (default: those launched, or 1)'
    )
    parser.add_argument(
        '--list-parameters', action='store_true', help='name the parameters of every group'
    )
    parser.add_argument('--json', metavar='FILE', help='write the plan there, too')


def _add_train(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    _add_backbone_argument(parser)
    add_branch_argument(parser)
    parser.add_argument('--resume', action='store_true', help='continue from the last checkpoint')
    parser.add_argument('--amp', action='store_true', help='mixed precision, bf16 where possible')
    parser.add_argument('--compile', action='store_true', help='compile the model (torch.compile)')
    parser.add_argument('--fsdp', action='store_true', help='shard the model over the processes')
    _add_track_argument(parser)
    _add_launch_arguments(parser)
    group = parser.add_argument_group('dry run')
    group.add_argument(
        '--dry-run', action='store_true',
        help='print model size, FLOPs, tokens, schedule, parameter groups, steps and memory, and '
        'stop; needs no data and no GPU',
    )  # fmt: skip
    _add_plan_arguments(group)


def _options(args: argparse.Namespace, *left_out: str) -> dict[str, Any]:
    """Return the arguments for a function of ``symmim_mm.apis`` that takes them by their names."""
    return {k: v for k, v in vars(args).items() if k not in ('local_rank', *left_out)}


def _train(args: argparse.Namespace) -> None:
    if args.dry_run:
        _plan(args)
        return
    plan = {'--gpus': args.gpus, '--list-parameters': args.list_parameters, '--json': args.json}
    if given := [name for name, value in plan.items() if value not in (None, False)]:
        raise UserError(f'{given[0]} belongs to --dry-run')
    with importing_libraries():
        from symmim_mm.apis.train import train

    train(**_options(args, 'dry_run', 'gpus', 'list_parameters', 'json'))


def _add_plan(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    _add_backbone_argument(parser)
    _add_launch_arguments(parser)
    _add_plan_arguments(parser)


def _plan(args: argparse.Namespace) -> None:
    with importing_libraries():
        from symmim_mm.apis.plan import dry_run

    dry_run(**_options(args, 'dry_run', 'branch', 'resume', 'amp', 'compile', 'fsdp', 'track'))


def _add_test(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='of a run of this config')
    _add_launch_arguments(parser)


def _test(args: argparse.Namespace) -> None:
    with importing_libraries():
        from symmim_mm.apis.test import test

    test(**_options(args))


def _add_evaluation(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    _add_backbone_argument(parser, 'encode with')
    add_branch_argument(parser)
    parser.add_argument('--amp', action='store_true', help='encode in mixed precision')
    parser.add_argument(
        '--feature-cache', metavar='DIR',
        help='folder of encoded features (default: .features next to --work-dir; none: keep none)',
    )  # fmt: skip


def _evaluate(task: str, args: argparse.Namespace) -> None:
    with importing_libraries():
        from symmim_mm.apis.evaluate import evaluate_features

    evaluate_features(task, **_options(args))


def _add_pretrain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('folder', metavar='FOLDER', help='images, sub-folders included')
    parser.add_argument(
        '--method', choices=('symmim', 'mae', 'simmim'), default='symmim', help='(default symmim)'
    )
    parser.add_argument(
        '--model', choices=('vit-ti', 'vit-s', 'vit-b', 'vit-l'),
        help='without --init (default vit-ti)',
    )  # fmt: skip
    parser.add_argument(
        '--init', metavar='FILE',
        help='checkpoint to start from: one of ours, of MAE, timm, Hugging Face, DINO, MoCo v3',
    )  # fmt: skip
    parser.add_argument('--heads', type=int, help='attention heads, if the checkpoint does not say')
    parser.add_argument(
        '--image-size', type=int, metavar='N',
        help="side in pixels (default: that of --init, else the images' own, 224 at most)",
    )  # fmt: skip
    length = parser.add_mutually_exclusive_group()
    length.add_argument('--budget', default='1h', help='time for the training (default 1h)')
    length.add_argument('--epochs', type=int, help='passes over the images')
    length.add_argument('--steps', type=int, help='optimizer steps')
    parser.add_argument('--out', help='(default: work_dirs/FOLDER-METHOD)')
    parser.add_argument('--seed', type=int, default=0, help='random seed (default 0)')
    parser.add_argument('--workers', type=int, help='loader processes (default: cores less one)')
    parser.add_argument(
        '--map', choices=('pca', 'tsne'), default='pca', dest='projection',
        help="of the embedding (default pca; tsne: pip install 'symmim-mm[tsne]')",
    )  # fmt: skip
    _add_track_argument(parser)


def _pretrain(args: argparse.Namespace) -> None:
    with importing_libraries():
        from symmim_mm.apis.pretrain import pretrain

    pretrain(
        args.folder, method=args.method, model=args.model, init=args.init, heads=args.heads,
        image_size=args.image_size, budget=args.budget, epochs=args.epochs, steps=args.steps,
        out=args.out, seed=args.seed, workers=args.workers, projection=args.projection,
        track=args.track,
    )  # fmt: skip


COMMANDS = {
    'pretrain': Command(
        'Pre-train on a folder of images and write a page of what was learned.',
        _add_pretrain, _pretrain,
        'The same command again continues an interrupted run.',
    ),
    'train': Command(
        'Train one config: a pre-training, or a transfer in any of the three libraries.',
        _add_train, _train,
    ),
    'test': Command(
        'Evaluate the checkpoint of a finished run with the test set and metrics of its config.',
        _add_test, _test,
    ),
    'plan': Command(
        'Print what a run will be, without data or GPU: the dry run of `train`.',
        _add_plan, _plan,
    ),
    'knn': Command(
        'Classify frozen features by their nearest neighbors (weighted k-NN).',
        _add_evaluation, partial(_evaluate, 'knn'),
    ),
    'linear': Command(
        'Fit a linear classifier on frozen features.',
        _add_evaluation, partial(_evaluate, 'linear'),
    ),
}  # fmt: skip
