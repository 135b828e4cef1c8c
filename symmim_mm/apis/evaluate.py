"""k-NN and linear evaluation of frozen features: from a config and a checkpoint to a record."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.device import get_device
from mmengine.registry import MODELS, DefaultScope, init_default_scope
from torch import Tensor

from symmim_mm.checkpoint.backbone import load_backbone
from symmim_mm.checkpoint.mmengine import use_safe_loaders
from symmim_mm.config.load import check_branch, load_config, stated_weights
from symmim_mm.datasets.samplers.seeding import seed_everything
from symmim_mm.engine.faults import report_faults
from symmim_mm.engine.precision import check_bf16_units, half_encoder
from symmim_mm.evaluation.choice import check_settings, judge
from symmim_mm.evaluation.feature_cache import cached, features_key
from symmim_mm.evaluation.features import POOLINGS, build_loaders, extract
from symmim_mm.evaluation.knn import classify_knn
from symmim_mm.evaluation.linear import classify_linear
from symmim_mm.results.record import FILE_NAME, Record
from symmim_mm.results.run_info import add_costs, describe_data, describe_run
from symmim_mm.utils.errors import START_AGAIN, UserError
from symmim_mm.utils.work_dir import check_work_dir

CLASSIFIERS: dict[str, Callable[..., Tensor]] = {'knn': classify_knn, 'linear': classify_linear}


def evaluate_features(
    task: str,
    config: str,
    *,
    backbone: str | None = None,
    branch: str = 'online',
    work_dir: str | None = None,
    feature_cache: str | None = None,
    amp: bool = False,
    seed: int | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> Record:
    """Encode both splits, classify the test images, print and record the accuracy.

    The config's ``evaluation`` holds ``pooling``, one or a list, and the parameters of the
    classifier. ``grid=dict(NAME=[...])`` names some to be chosen on ``held_out`` (a share, default
    0.1) of the training images; the classifier is then fitted to all of them. The record's
    ``top1`` is that of the first pooling with the chosen parameters, ``<pooling>_top1`` that of
    another, and ``chosen_top1`` that of the pooling best on the held-out images; the test
    accuracies of the whole grid stand next to them.

    Args:
        task: ``'knn'`` or ``'linear'``.
        config: path of a config of this task.
        backbone: pre-trained checkpoint; random weights without one.
        branch: ``'online'`` or ``'momentum'``, the encoder of a SymMIM checkpoint to take.
        work_dir: directory of the run; ``work_dirs/<config>`` by default.
        feature_cache: folder in which features are kept for other evaluations of the same weights
            and images; ``.features`` next to ``work_dir`` by default, ``'none'`` keeps none.
        amp: encode in bf16 (float16 on a GPU without it); not on a CPU without AMX.
        seed: random seed; that of the config by default.
        cfg_options: overrides of the config by dotted keys.

    Raises:
        UserError: for what a user can fix.
        Fault: a loader worker died or hangs.
        OSError: the work directory cannot be written to.
    """
    check_branch(branch, backbone)
    started = time.time()
    overrides = dict(cfg_options or {})
    use_safe_loaders()
    cfg = load_config(
        config, work_dir=work_dir, seed=seed, cfg_options=overrides, backbone=backbone
    )
    if cfg.run.task != task:
        raise UserError(f'{config} is a config for {cfg.run.task}, not for {task}')
    if cfg.get('evaluation') is None:
        raise UserError(f'{config} trains its classifier: use tools/train.py')
    if cfg.get('load_from'):
        raise UserError('load_from is of trainings: name the weights by --backbone')
    if amp:
        check_bf16_units()
    settings = dict(cfg.evaluation)
    poolings = _poolings(settings.pop('pooling', 'patch_mean'))
    grid, held_out = settings.pop('grid', {}), settings.pop('held_out', 0.1)
    check_settings(CLASSIFIERS[task], settings, grid, held_out)
    seed_everything(cfg.randomness.seed)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model.backbone)
        preprocessor = MODELS.build(cfg.data_preprocessor)
        loaders = build_loaders(cfg)
    model.init_weights()
    if backbone:
        print(load_backbone(model, backbone, branch))
    # Everything that can fail at the end is checked before the images are encoded.
    datasets: list[Any] = [loaders[split].dataset for split in ('train', 'val')]
    names, tested = (list(dataset.metainfo['classes']) for dataset in datasets)
    if names != tested:
        raise UserError('the train and val folders hold different classes')
    classes = len(names)
    check_work_dir(cfg.work_dir, files=[FILE_NAME])
    changes = overrides | ({'--branch': branch} if branch != 'online' else {})
    changes |= {'--amp': True} if amp else {}
    record = describe_run(
        run=cfg.run,
        data=describe_data(*datasets),
        config_path=config,
        overrides=[f'{key}={value}' for key, value in sorted(changes.items())],
        backbone=backbone or stated_weights(cfg),
        work_dir=Path(cfg.work_dir),
        backbone_cfg=cfg.model.backbone,
        seed=cfg.randomness.seed,
        started=started,
    )
    record.backbone_in_config = not backbone
    device = get_device()
    model, preprocessor = model.to(device), preprocessor.to(device)
    model.eval()  # which returns nothing here
    encoder = half_encoder(model) if amp else model

    folder = Path(feature_cache or Path(cfg.work_dir).parent / '.features')
    encoded, saved = {}, 0.0
    for split, loader in loaders.items():
        kept = feature_cache != 'none'
        key = features_key(model, loader.dataset, cfg, split, amp) if kept else None
        encode = partial(extract, encoder, preprocessor, loader, poolings)
        begun = time.monotonic()
        with report_faults(START_AGAIN), loader.report_deaths():
            encoded[split], seconds = cached(folder, key, poolings, encode)
        # The cost of an evaluation does not depend on which of several came first.
        saved += max(0.0, seconds - (time.monotonic() - begun))
    (features, labels), (test_features, truth) = encoded['train'], encoded['val']
    classify = partial(CLASSIFIERS[task], **settings)
    chance = 100.0 / classes
    judged: dict[str, dict[str, float]] = {}
    for pooling in poolings:
        train, test = features[pooling].to(device), test_features[pooling].to(device)
        found = judged[pooling] = judge(
            classify, grid, held_out, train, labels.to(device), test, truth.to(device), classes
        )
        prefix = '' if pooling == poolings[0] else f'{pooling}_'
        record.metrics |= {f'{prefix}{name}': value for name, value in found.items()}
        # Before the record, which may fail to be written.
        chosen = ''.join(f', {name} {found[f"chosen_{name}"]:g}' for name in grid)
        top1 = found['top1']
        print(f'{task} top-1 {top1:.2f} % (chance {chance:.2f} %), {pooling}{chosen}', flush=True)
    if grid and len(poolings) > 1:
        best = max(poolings, key=lambda pooling: judged[pooling]['held_out_top1'])
        record.metrics['chosen_top1'] = judged[best]['top1']
        print(f'best on the held-out training images: {best}', flush=True)

    record.chance = {'top1': chance}
    record.images = len(labels) + len(truth)
    add_costs(record, time.time() - started + saved)
    path = record.write(cfg.work_dir)
    print(f'recorded in {path}')
    return record


def _poolings(pooling: str | Sequence[str]) -> list[str]:
    """Return the poolings that a config asks for; ``UserError`` at an unknown one."""
    poolings = [pooling] if isinstance(pooling, str) else list(pooling)
    if not poolings or not set(poolings) <= set(POOLINGS):
        raise UserError(
            f'evaluation.pooling must be one of {tuple(POOLINGS)} or a list of these, got {pooling}'
        )
    return poolings
