"""``tools/knn.py`` and ``tools/linear.py``: from a config and a checkpoint to a record."""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS, DefaultScope, init_default_scope
from torch import Tensor
from torch.utils.data import Dataset

from symmim_mm.checkpoint.backbone import load_backbone
from symmim_mm.checkpoint.mmengine import use_safe_loaders
from symmim_mm.config.load import load_config
from symmim_mm.datasets.samplers.seeding import seed_everything
from symmim_mm.engine.faults import report_faults
from symmim_mm.evaluation.features import POOLINGS, build_loaders, extract
from symmim_mm.evaluation.knn import classify_knn
from symmim_mm.evaluation.linear import classify_linear
from symmim_mm.results.record import FILE_NAME
from symmim_mm.results.run_info import add_costs, describe_run
from symmim_mm.utils.errors import START_AGAIN, UserError
from symmim_mm.utils.work_dir import check_work_dir

CLASSIFIERS: dict[str, Callable[..., Tensor]] = {'knn': classify_knn, 'linear': classify_linear}


def evaluate(args: argparse.Namespace, task: str) -> None:
    """Encode both splits, classify the test pictures, print and record the accuracy.

    The config's ``evaluation`` holds ``pooling`` and the parameters of the classifier.

    Args:
        args: as from ``add_run_arguments``.
        task: ``'knn'`` or ``'linear'``.

    Raises:
        UserError: for what a user can mend.
        Fault: a loader worker died or hangs.
        OSError: the work directory cannot be written to.
    """
    started = time.time()
    use_safe_loaders()
    cfg = _configure(args, task)
    settings = dict(cfg.evaluation)
    pooling = settings.pop('pooling', 'patch_mean')
    seed_everything(cfg.randomness.seed)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        backbone = MODELS.build(cfg.model.backbone)
        preprocessor = MODELS.build(cfg.data_preprocessor)
        loaders = build_loaders(cfg)
    backbone.init_weights()
    if args.backbone:
        print(load_backbone(backbone, args.backbone))
    # All that can go wrong at the end is seen to before the pictures are encoded.
    classes = _count_classes(loaders['train'].dataset, loaders['val'].dataset)
    check_work_dir(cfg.work_dir, files=[FILE_NAME])
    record = describe_run(
        run=cfg.run,
        config_path=args.config,
        overrides=[f'{k}={v}' for k, v in sorted((args.cfg_options or {}).items())],
        backbone=args.backbone,
        work_dir=Path(cfg.work_dir),
        backbone_cfg=cfg.model.backbone,
        seed=cfg.randomness.seed,
        started=started,
    )
    device = get_device()
    backbone, preprocessor = backbone.to(device), preprocessor.to(device)

    encoded = {}
    for split, loader in loaders.items():
        with report_faults(START_AGAIN), loader.report_deaths():
            encoded[split] = extract(backbone, preprocessor, loader, pooling)
    (train, labels), (test, truth) = encoded['train'], encoded['val']
    classify = partial(CLASSIFIERS[task], **settings)
    guess = classify(train.to(device), labels.to(device), test.to(device), classes).cpu()
    top1 = 100.0 * (guess == truth).double().mean().item()
    chance = 100.0 / classes
    # Whatever becomes of the record.
    print(f'{task} top-1 {top1:.2f} % (chance {chance:.2f} %)', flush=True)

    record.metrics = {'top1': round(top1, 4)}
    record.chance = {'top1': chance}
    record.images = len(train) + len(test)
    add_costs(record, time.time() - started)
    path = record.write(cfg.work_dir)
    print(f'recorded in {path}')


def _configure(args: argparse.Namespace, task: str) -> Config:
    """The config of the command line, if it is one of this task."""
    cfg = load_config(
        args.config, work_dir=args.work_dir, seed=args.seed, cfg_options=args.cfg_options,
        backbone=args.backbone,
    )  # fmt: skip
    if cfg.run.task != task:
        raise UserError(f'{args.config} is a config for {cfg.run.task}, not for {task}')
    if cfg.get('evaluation') is None:
        raise UserError(f'{args.config} trains its classifier: use tools/train.py')
    pooling = cfg.evaluation.get('pooling', 'patch_mean')
    if pooling not in POOLINGS:
        raise UserError(f"evaluation.pooling must be one of {POOLINGS}, got '{pooling}'")
    return cfg


def _count_classes(train: Dataset, test: Dataset) -> int:
    """Number of classes of two data sets, which must have the same ones."""
    classes = list(train.metainfo['classes'])
    if list(test.metainfo['classes']) != classes:
        raise UserError('the train and val folders hold different classes')
    return len(classes)
