"""Writes the record of a run when it has finished."""

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
from mmengine.dist import (
    broadcast_object_list,
    get_world_size,
    is_main_process,
    master_only,
)
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from symmim_mm.engine.hooks.images_hook import FOLDER as PICTURES
from symmim_mm.registry import HOOKS
from symmim_mm.results.record import FILE_NAME, is_number
from symmim_mm.results.run_info import add_costs, describe_run
from symmim_mm.utils.errors import RESUME, START_AGAIN, UserError
from symmim_mm.utils.files import file_sha256, write_atomic
from symmim_mm.utils.text import is_text
from symmim_mm.utils.work_dir import check_run_folder, told_of_writing

# Names in our records <- names in the libraries' metrics, and the factor to percent.
METRICS = {
    'top1': ('accuracy/top1', 1.0),
    'box_ap': ('coco/bbox_mAP', 100.0),
    'box_ap50': ('coco/bbox_mAP_50', 100.0),
    'mask_ap': ('coco/segm_mAP', 100.0),
    'mask_ap50': ('coco/segm_mAP_50', 100.0),
    'miou': ('mIoU', 1.0),
    'macc': ('mAcc', 1.0),
}
CURVE = 'curve.jsonl'
LAST_CHECKPOINT = 'last_checkpoint'
DETECTION = ('box_ap', 'box_ap50', 'mask_ap', 'mask_ap50')


@HOOKS.register_module()
class RecordHook(Hook):
    """Leaves ``result.json`` in the work directory of a run that came to its end.

    The config must carry ``run=dict(task=..., dataset=...)``, and ``method`` for a pre-training;
    a transfer takes its method from the record beside the backbone's file.

    Args:
        config_path: the config file as named on the command line.
        backbone: checkpoint the run started from.
        overrides: what the command line changed, as ``key=value`` texts.
    """

    priority = 'VERY_LOW'

    def __init__(
        self, config_path: str, backbone: str | None = None, overrides: Sequence[str] = ()
    ) -> None:
        self.config_path = config_path
        self.backbone = backbone
        self.overrides = list(overrides)
        self.metrics: dict[str, float] = {}
        self.earlier_s = 0.0

    def before_run(self, runner: Runner) -> None:
        """Describe the run already now: what cannot be recorded is told before the training.

        Raises:
            UserError: a task without its validation, a folder that takes no results, a broken
                record beside the backbone, or a text that no record can hold.
            Fault: the disk is full, read-only or broken.
        """
        self.started = time.time()
        told: list[UserError | None] = [None]
        if is_main_process():
            try:
                self._prepare(runner)
            except UserError as error:
                told = [error]
        broadcast_object_list(told)  # all processes refuse together
        if told[0]:
            raise told[0]

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
                'written: name another'
            )
        files = (FILE_NAME, CURVE, LAST_CHECKPOINT)
        check_run_folder(runner.work_dir, START_AGAIN, files, folders=[PICTURES])
        self.record = describe_run(
            run=runner.cfg.run,
            config_path=self.config_path,
            overrides=self.overrides,
            backbone=self.backbone,
            work_dir=Path(runner.work_dir),
            backbone_cfg=runner.cfg.model.backbone,
            seed=runner.seed,
            started=self.started,
        )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint['meta']['elapsed_s'] = self._elapsed()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        earlier = checkpoint.get('meta', {}).get('elapsed_s')
        # From a file that may be anybody's; an impossible time must not end up in the record.
        self.earlier_s = float(earlier) if is_number(earlier) and earlier >= 0 else 0.0

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        self.metrics = dict(metrics or {})

    def after_train(self, runner: Runner) -> None:
        # A run that was interrupted between its last epoch and its end resumes with nothing to
        # train, so nothing has been evaluated yet.
        if runner.val_loop is not None and not self.metrics:
            runner.val_loop.run()

    def _elapsed(self) -> float:
        return self.earlier_s + time.time() - self.started

    @master_only
    def after_run(self, runner: Runner) -> None:
        elapsed = self._elapsed()
        record, work_dir = self.record, Path(runner.work_dir)
        found = self._final_metrics(runner, record.task)
        record.metrics = {name: value for name, value in found.items() if math.isfinite(value)}
        # First of all, so that nothing that fails from here on hides them.
        runner.logger.info(f'final metrics: {json.dumps(record.metrics)}')
        undefined = found.keys() - record.metrics.keys()
        if undefined:
            runner.logger.warning(
                f'{", ".join(sorted(undefined))}: undefined, as the validation set has no '
                f'annotation to measure by; left out of {FILE_NAME}'
            )
        chance = self._chance(runner, record.task)
        record.chance = {name: level for name, level in chance.items() if name not in undefined}
        checkpoint = Path((work_dir / LAST_CHECKPOINT).read_text().strip())
        record.checkpoint = checkpoint.name
        record.checkpoint_sha256 = file_sha256(work_dir / checkpoint.name)
        record.curve = collect_curve(work_dir)
        record.figures = find_pictures(work_dir)
        record.images = runner.iter * runner.train_dataloader.batch_size * get_world_size()
        add_costs(record, elapsed)
        with told_of_writing(work_dir / FILE_NAME, RESUME):
            record.write(work_dir)

    def _final_metrics(self, runner: Runner, task: str) -> dict[str, float]:
        """Metrics by our names, those of a validation in percent; NaN where one is undefined."""
        if task == 'pretrain':
            scalars = runner.message_hub.log_scalars
            window = len(runner.train_dataloader)
            losses = {
                key.removeprefix('train/'): buffer.data[0][-window:]
                for key, buffer in scalars.items()
                if key.startswith('train/loss')
            }
            # Without those of steps that were skipped because they were not finite.
            finite = {key: values[np.isfinite(values)] for key, values in losses.items()}
            return {key: float(values.mean()) for key, values in finite.items() if len(values)}
        found = {
            ours: _percentage(self.metrics[theirs], factor)
            for ours, (theirs, factor) in METRICS.items()
            if theirs in self.metrics
        }
        if task == 'detection' and not found:
            # CocoMetric gives no numbers when nothing was detected: precision is zero then, of
            # what there is to detect.
            if not has_objects(runner.val_loop.dataloader.dataset):
                return dict.fromkeys(DETECTION, math.nan)
            runner.logger.warning('nothing was detected on the validation set: all AP are 0')
            return dict.fromkeys(DETECTION, 0.0)
        return found

    def _chance(self, runner: Runner, task: str) -> dict[str, float]:
        if task == 'pretrain':
            return {}
        dataset = runner.val_loop.dataloader.dataset
        if task == 'detection':
            return dict.fromkeys(DETECTION, 0.0)
        if task == 'segmentation':
            return {'miou': blind_miou(dataset)}
        return {'top1': 100.0 / len(dataset.metainfo['classes'])}


def _percentage(value: float, factor: float) -> float:
    """A metric in percent; NaN, or a value below zero as CocoMetric's -1, is undefined: NaN."""
    value = float(value)
    return value * factor if value >= 0 else math.nan


def has_objects(dataset: Dataset) -> bool:
    """Whether an MMDetection set has any object to detect; a crowd is none."""
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    return any(not found.get('ignore_flag') for info in infos for found in info['instances'])


def blind_miou(dataset: Dataset) -> float:
    """mIoU in percent of calling every pixel the most frequent class of an MMSegmentation set."""
    counts = np.zeros(256, dtype=np.int64)
    for index in range(len(dataset)):
        path = dataset.get_data_info(index)['seg_map_path']
        labels = mmcv.imread(path, 'unchanged', backend='pillow')  # as the data set reads it
        counts += np.bincount(labels.ravel(), minlength=256)
    classes = len(dataset.metainfo['classes'])
    counts = counts[1 : classes + 1] if dataset.reduce_zero_label else counts[:classes]
    return float(100.0 * counts.max() / max(counts.sum(), 1) / classes)


def collect_curve(work_dir: Path) -> str | None:
    """Join the scalars of a run and of its resumptions into ``curve.jsonl``, each step once."""
    lines: list[tuple[float, str]] = []
    for source in sorted(work_dir.glob('*/vis_data/scalars.json')):
        new = [(_step(line), line) for line in source.read_text().splitlines() if _step(line) >= 0]
        if new:
            start = min(step for step, _ in new)
            lines = [entry for entry in lines if entry[0] < start] + new
    if not lines:
        return None
    with told_of_writing(work_dir / CURVE, RESUME):
        write_atomic(work_dir / CURVE, ''.join(line + '\n' for _, line in lines))
    return CURVE


def find_pictures(work_dir: Path) -> list[str]:
    """Pictures that ``PicturesHook`` drew, in their order, relative to ``work_dir``.

    Other files of that folder, whose names are no numbers, are none of them.
    """
    drawn = [path for path in work_dir.glob(f'{PICTURES}/*.png') if path.stem.isdecimal()]
    return [str(path.relative_to(work_dir)) for path in sorted(drawn, key=lambda p: int(p.stem))]


def _step(line: str) -> float:
    """Step of one line of scalars; negative for lines without a loss."""
    try:
        values = json.loads(line)
    except ValueError:  # the last line of a run that was killed while writing it
        return -1
    return values['step'] if 'loss' in values else -1
