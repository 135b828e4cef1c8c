"""A training of milliseconds for tests, with everything random that a real one has."""

import itertools
import os
import signal
import time
from collections.abc import Container
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import HOOKS, METRICS, MODELS
from mmengine.runner import Runner
from states import assert_same as assert_same
from torch import Tensor, nn
from torch.utils.data import Dataset

from symmim_mm.checkpoint.mmengine import use_safe_loaders
from symmim_mm.checkpoint.read import checkpoint_files, read_checkpoint
from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.engine.launch import substitute_types
from symmim_mm.engine.resume import resume_from_latest

SIZE = 22
# MMEngine tells the runs of a process apart by name and second; two alike would share their log.
_runs = itertools.count()


class Numbers(Dataset):
    """Rows of four numbers that differ at every access, as augmented images do.

    Args:
        fixed: let rows be the same at every access.
        bad: rows that are not finite.
        unreadable: rows that raise the error of an image that cannot be read.
        deadly: rows that kill the process that reads them, as an image may crash a decoder.
        signal_name: what kills it.
        hanging: rows that take for ever.
    """

    metainfo = dict(classes=('a', 'b'))

    def __init__(
        self,
        fixed: bool = False,
        *,
        bad: Container[int] = (),
        unreadable: Container[int] = (),
        deadly: Container[int] = (),
        signal_name: str = 'SIGKILL',
        hanging: Container[int] = (),
    ) -> None:
        self.fixed, self.bad, self.unreadable = fixed, bad, unreadable
        self.deadly, self.signal, self.hanging = deadly, signal.Signals[signal_name], hanging

    def __len__(self) -> int:
        return SIZE

    def get_data_info(self, index: int) -> dict:
        return dict(img_path=f'row{index}.png', width=index % 3, height=1)

    def __getitem__(self, index: int) -> dict:
        while index in self.hanging:
            time.sleep(1)
        if index in self.deadly:
            os.kill(os.getpid(), self.signal)
        if self.fixed:
            return dict(inputs=torch.full((4,), float(index)))
        # Draws first, so that reading an unreadable row uses random numbers.
        noise = torch.rand(4) + torch.tensor(np.random.rand(4), dtype=torch.float32)
        if index in self.unreadable:
            raise ImageError(f'row{index}.png ends too early')
        row = torch.full((4,), float(index)) / SIZE + noise
        return dict(inputs=row * float('nan') if index in self.bad else row)


@MODELS.register_module(force=True)
class Toy(BaseModel):
    """Batch normalization, dropout and a mask drawn in the forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3))
        self.head = nn.Linear(8, 4)

    def forward(self, inputs: Tensor, mode: str = 'tensor') -> dict[str, Tensor] | list:
        found = self.head(self.layers(inputs))
        if mode == 'loss':
            mask = torch.rand_like(inputs) < 0.5
            return dict(loss=((found - inputs) ** 2 * mask).mean())
        return list(found)


@METRICS.register_module(force=True)
class Count(BaseMetric):
    """Number of rows."""

    def process(self, data_batch: dict, data_samples: list) -> None:
        self.results += data_samples

    def compute_metrics(self, results: list) -> dict:
        return dict(rows=len(results))


def counting_loader(dataset: Dataset) -> dict:
    """Return the config of a loader with two workers for :class:`Count`."""
    return dict(
        batch_size=4,
        num_workers=2,
        dataset=dataset,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
    )


@HOOKS.register_module(force=True)
class At(Hook):
    """Calls a function at one iteration (from 0)."""

    def __init__(self, iteration: int, call) -> None:
        self.iteration = iteration
        self.call = call

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        if runner.iter == self.iteration:
            self.call()


def toy_runner(
    work_dir: Path,
    *,
    epochs: int = 0,
    iterations: int = 0,
    accumulation: int = 1,
    workers: int = 0,
    resume: bool = False,
    hooks: tuple[Hook, ...] = (),
    dataset: Dataset | None = None,
    validation: Dataset | None = None,
    optimizer: dict | None = None,
    extra: dict | None = None,
    **changes: dict,
) -> Runner:
    """Build a runner as ``tools/train.py`` does, over ``epochs`` or over ``iterations``.

    Args:
        validation: rows that are counted after every epoch.
        extra: further ``default_hooks``.
        **changes: of ``default_hooks``.
    """
    loop = dict(type='IterBasedTrainLoop', max_iters=iterations)
    sampler = dict(type='InfiniteSampler', shuffle=True)
    saving = dict(type='symmim_mm.SafeCheckpointHook', interval=4, max_keep_ckpts=2)
    if epochs:
        loop = dict(type='EpochBasedTrainLoop', max_epochs=epochs)
        sampler['type'] = 'DefaultSampler'
        saving['interval'] = 1
    else:
        saving['by_epoch'] = False
    default_hooks = dict(
        logger=dict(type='symmim_mm.SafeLoggerHook', log_metric_by_epoch=bool(epochs)),
        checkpoint=saving,
        exact_resume=dict(type='symmim_mm.ExactResumeHook'),
        preemption=dict(type='symmim_mm.PreemptionHook'),
        not_finite=dict(type='symmim_mm.NotFiniteHook'),
        loader=dict(type='symmim_mm.LoaderTimeoutHook', timeout=60),
    )
    default_hooks |= extra or {}
    for name, change in changes.items():
        default_hooks[name].update(change)
    cfg = Config(
        dict(
            train_cfg=loop,
            optim_wrapper=dict(
                type='OptimWrapper',
                optimizer=optimizer or dict(type='AdamW', lr=0.01),
                accumulative_counts=accumulation,
                clip_grad=dict(max_norm=1.0),
            ),
        )
    )
    substitute_types(cfg)
    use_safe_loaders()
    validating = {}
    if validation:
        validating = dict(
            val_cfg=dict(type='symmim_mm.FaultReportingValLoop'),
            val_evaluator=dict(type='Count'),
            val_dataloader=counting_loader(validation),
        )
    runner = Runner(
        model=dict(type='Toy'),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=4,
            num_workers=workers,
            dataset=dataset or Numbers(),
            sampler=sampler,
            drop_last=bool(epochs),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=cfg.train_cfg,
        optim_wrapper=cfg.optim_wrapper,
        param_scheduler=dict(type='LinearLR', by_epoch=False, end=20),
        default_hooks=default_hooks,
        custom_hooks=list(hooks),
        randomness=dict(seed=3),
        log_processor=dict(by_epoch=bool(epochs)),
        default_scope='mmengine',
        experiment_name=f'toy_{next(_runs)}',
        cfg=cfg,
        **validating,
    )
    resume_from_latest(runner, resume)
    return runner


def final_state(work_dir: Path) -> dict:
    """Return weights, optimizer and schedule of the newest checkpoint."""
    checkpoint = read_checkpoint(checkpoint_files(work_dir)[-1])
    return {key: checkpoint[key] for key in ('state_dict', 'optimizer', 'param_schedulers')}


def train_with_stops(work_dir: Path, stops: tuple[int, ...], name: str, **run) -> list[str]:
    """Train, signaled to stop at some iterations (from 0); return names of what was saved then."""
    saved = []
    for number, stop in enumerate((*stops, None)):
        stop_now = partial(os.kill, os.getpid(), signal.Signals[name])
        hooks = () if stop is None else (At(stop, stop_now),)
        runner = toy_runner(work_dir, resume=number > 0, hooks=hooks, **run)
        if stop is None:
            runner.train()
        else:
            with pytest.raises(SystemExit) as stopped:
                runner.train()
            assert stopped.value.code == 75
            saved.append(checkpoint_files(work_dir)[-1].name)
            for hook in runner.hooks:
                hook.after_run(runner) if type(hook).__name__ == 'PreemptionHook' else None
    return saved
