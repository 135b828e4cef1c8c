"""The record of a run, written when it has finished."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from mmengine.dist import get_world_size, master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from symmim_mm.config.mask_branch import measures_masks
from symmim_mm.engine.hooks.images_hook import FOLDER as IMAGES
from symmim_mm.engine.hooks.images_hook import OVER_TIME
from symmim_mm.registry import HOOKS
from symmim_mm.results.metrics import DETECTION, chance_levels, has_objects, in_percent
from symmim_mm.results.record import FILE_NAME, Record, is_number
from symmim_mm.results.run_info import add_costs, describe_batch, describe_data, describe_run
from symmim_mm.utils.dist import on_main_rank
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import file_sha256, write_atomic
from symmim_mm.utils.text import is_text
from symmim_mm.utils.work_dir import check_work_dir

CURVE = 'curve.jsonl'
LAST_CHECKPOINT = 'last_checkpoint'


@HOOKS.register_module()
class RecordHook(Hook):
    """Writes ``result.json`` into the work directory of a run that has finished.

    The config must have ``run=dict(task=..., dataset=...)``, and ``method`` for a pre-training;
    a transfer takes its method from the record next to the backbone's file.

    Args:
        config_path: the config file as named on the command line.
        backbone: checkpoint the run started from.
        backbone_in_config: whether the config itself names it.
        overrides: what the command line changed, as ``key=value`` strings.
        flops_per_image: of forward and backward pass, if they were counted.
    """

    priority = 'VERY_LOW'

    def __init__(
        self,
        config_path: str,
        backbone: str | None = None,
        overrides: Sequence[str] = (),
        flops_per_image: int | None = None,
        backbone_in_config: bool = False,
    ) -> None:
        self.config_path = config_path
        self.backbone = backbone
        self.overrides = list(overrides)
        self.flops_per_image = flops_per_image
        self.backbone_in_config = backbone_in_config
        self.metrics: dict[str, float] = {}
        self.earlier_s = self.earlier_device_s = 0.0

    def before_run(self, runner: Runner) -> None:
        """Describe the run now: what cannot be recorded is reported before the training."""
        self.started = time.time()
        on_main_rank(lambda: self._prepare(runner))

    def _prepare(self, runner: Runner) -> None:
        task = runner.cfg.run.task
        if task != 'pretrain' and runner.val_loop is None:
            raise UserError(
                f"run.task '{task}' is measured on a validation set, and this config has none: "
                'state val_dataloader, val_cfg and val_evaluator'
            )
        if not is_text(runner.work_dir):
            raise UserError(
                f'--work-dir {runner.work_dir} is not in UTF-8, in which {LAST_CHECKPOINT} is '
                'written: choose another'
            )
        check_work_dir(runner.work_dir, (FILE_NAME, CURVE, LAST_CHECKPOINT), folders=[IMAGES])
        val = runner.val_loop.dataloader.dataset if runner.val_loop is not None else None
        self.record = describe_run(
            run=runner.cfg.run,
            data=describe_data(runner.train_dataloader.dataset, val),
            config_path=self.config_path,
            overrides=self.overrides,
            backbone=self.backbone,
            work_dir=Path(runner.work_dir),
            backbone_cfg=runner.cfg.model.backbone,
            seed=runner.seed,
            started=self.started,
        )
        self.record.backbone_in_config = self.backbone_in_config

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the time that the run has taken so far."""
        checkpoint['meta'].update(elapsed_s=self._elapsed(), device_s=self._device_s())

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take up the time of earlier attempts; an impossible one must not reach the record."""
        if not runner._resume:  # weights to start from, of another run
            return
        meta = checkpoint.get('meta', {})
        self.earlier_s, device_s = (
            float(value) if is_number(value) and value >= 0 else 0.0
            for value in (meta.get('elapsed_s'), meta.get('device_s'))
        )
        # A version that did not save them had as many processes as now, as far as is known.
        self.earlier_device_s = device_s or self.earlier_s * get_world_size()

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Keep the latest metrics."""
        self.metrics = dict(metrics or {})

    def after_train(self, runner: Runner) -> None:
        """Validate if nothing was: a run that was stopped after its last epoch is resumed so."""
        if runner.val_loop is not None and not self.metrics:
            runner.val_loop.run()

    def so_far(self, runner: Runner) -> Record:
        """Return the record with curve, images and costs of the run up to now."""
        folder = Path(runner.work_dir)
        parts = dict(curve=collect_curve(folder), figures=find_images(folder))
        record = self.record.model_copy(update=parts)
        add_costs(record, self._elapsed())
        record.device_s = round(self._device_s(), 2)
        return record

    def _elapsed(self) -> float:
        return self.earlier_s + time.time() - self.started

    def _device_s(self) -> float:
        return self.earlier_device_s + (time.time() - self.started) * get_world_size()

    @master_only
    def after_run(self, runner: Runner) -> None:
        """Write the record; if it cannot be written, the metrics are in the log."""
        found = self._final_metrics(runner, self.record.task)
        metrics = {name: value for name, value in found.items() if math.isfinite(value)}
        # First of all, so that no later failure hides them.
        runner.logger.info(f'final metrics: {json.dumps(metrics)}')
        record, work_dir = self.so_far(runner), Path(runner.work_dir)
        record.metrics = metrics
        undefined = found.keys() - metrics.keys()
        if undefined:
            runner.logger.warning(
                f'{", ".join(sorted(undefined))}: undefined, as the validation set has no '
                f'annotation to measure by; left out of {FILE_NAME}'
            )
        if record.task != 'pretrain':
            chance = chance_levels(record.task, runner.val_loop.dataloader.dataset)
            record.chance = {k: level for k, level in chance.items() if k in metrics}
        checkpoint = Path((work_dir / LAST_CHECKPOINT).read_text().strip())
        record.checkpoint = checkpoint.name
        record.checkpoint_sha256 = file_sha256(work_dir / checkpoint.name)
        record.batch = describe_batch(runner)
        record.images = runner.iter * record.batch.micro_batch * record.batch.processes
        record.flops_per_image = self.flops_per_image
        record.write(work_dir)

    def _final_metrics(self, runner: Runner, task: str) -> dict[str, float]:
        """Return metrics by our names, in percent after a validation; NaN where undefined."""
        if task == 'pretrain':
            return _mean_losses(runner)
        dataset = runner.val_loop.dataloader.dataset
        found = in_percent(self.metrics)
        if task == 'detection' and not found:
            # CocoMetric gives no numbers when nothing was detected: precision is zero then, if
            # there is something to detect.
            names = DETECTION if measures_masks(runner.cfg) else DETECTION[:2]
            if not has_objects(dataset):
                return dict.fromkeys(names, math.nan)
            runner.logger.warning('nothing was detected on the validation set: all AP are 0')
            return dict.fromkeys(names, 0.0)
        return found


def _mean_losses(runner: Runner) -> dict[str, float]:
    """Return the mean losses of the last epoch, without those of skipped steps."""
    window = len(runner.train_dataloader)
    means = {}
    for key, buffer in runner.message_hub.log_scalars.items():
        if key.startswith('train/loss'):
            values = buffer.data[0][-window:]
            values = values[np.isfinite(values)]
            if len(values):
                means[key.removeprefix('train/')] = float(values.mean())
    return means


def collect_curve(work_dir: Path) -> str | None:
    """Join the scalars of all attempts in ``curve.jsonl``, each step once; ``None`` without any."""
    lines: list[tuple[str, float, str]] = []
    for source in sorted(work_dir.glob('*/vis_data/scalars.json')):
        new = list(_scalars(source))
        # Losses, validations (which may count epochs) and each figure of health by themselves.
        starts = {kind: step for kind, step, _ in sorted(new, reverse=True)}
        lines = [entry for entry in lines if entry[1] < starts.get(entry[0], math.inf)] + new
    if not lines:
        return None
    write_atomic(work_dir / CURVE, ''.join(line + '\n' for _, _, line in lines))
    return CURVE


def _scalars(source: Path) -> Iterator[tuple[str, float, str]]:
    """Yield kind (the first name, of a training step ``'loss'``), step and text of each line."""
    for line in source.read_text().splitlines():
        try:
            values = json.loads(line)
        except ValueError:  # the last line of a run that was killed while writing it
            continue
        yield 'loss' if 'loss' in values else next(iter(values)), values['step'], line


def find_images(work_dir: Path) -> list[str]:
    """Return the images that ``ImagesHook`` drew, in their order, relative to ``work_dir``."""
    drawn = [path for path in work_dir.glob(f'{IMAGES}/*.png') if path.stem.isdecimal()]
    drawn.sort(key=lambda path: int(path.stem))
    drawn += work_dir.glob(f'{IMAGES}/{OVER_TIME}')
    return [str(path.relative_to(work_dir)) for path in drawn]
