"""Writes the record of a run when it has finished."""

import json
import resource
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import mmcv
import numpy as np
import torch
from mmengine.dist import get_world_size, master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from symmim_mm.atomic_file import file_sha256, write_atomic
from symmim_mm.registry import HOOKS
from symmim_mm.results.config_hash import config_sha256
from symmim_mm.results.machine import hardware, versions
from symmim_mm.results.record import RANDOM, Record, parent_of

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
DETECTION = ('box_ap', 'box_ap50', 'mask_ap', 'mask_ap50')
ARCHITECTURES = {(384, 12): 'ViT-S', (768, 12): 'ViT-B', (1024, 24): 'ViT-L'}


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
        self.started = time.time()
        if self.backbone:
            # A broken record beside it is told now, not when the run is finished.
            parent_of(self.backbone)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint['meta']['elapsed_s'] = self._elapsed()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self.earlier_s = float(checkpoint.get('meta', {}).get('elapsed_s', 0.0))

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
        work_dir = Path(runner.work_dir)
        run = runner.cfg.run
        checkpoint = Path((work_dir / 'last_checkpoint').read_text().strip())
        record = describe_run(
            run=run,
            config_path=self.config_path,
            overrides=self.overrides,
            backbone=self.backbone,
            work_dir=work_dir,
            backbone_cfg=runner.cfg.model.backbone,
            seed=runner.seed,
            started=self.started,
            elapsed=elapsed,
        )
        record.metrics = self._final_metrics(runner, run.task)
        record.chance = self._chance(runner, run.task)
        record.checkpoint = checkpoint.name
        record.checkpoint_sha256 = file_sha256(work_dir / checkpoint.name)
        record.curve = collect_curve(work_dir)
        pictures = sorted(work_dir.glob('pictures/*.png'), key=lambda path: int(path.stem))
        record.pictures = [str(path.relative_to(work_dir)) for path in pictures]
        record.images = runner.iter * runner.train_dataloader.batch_size * get_world_size()
        record.write(work_dir)

    def _final_metrics(self, runner: Runner, task: str) -> dict[str, float]:
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
            ours: float(self.metrics[theirs]) * factor
            for ours, (theirs, factor) in METRICS.items()
            if theirs in self.metrics
        }
        if task == 'detection' and not found:
            # CocoMetric gives no numbers when nothing was detected: precision is zero then.
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


def describe_run(
    run: dict,
    config_path: str,
    overrides: Sequence[str],
    backbone: str | None,
    work_dir: Path,
    backbone_cfg: dict,
    seed: int,
    started: float,
    elapsed: float,
) -> Record:
    """The part of a record that does not depend on the task. Metrics are still empty."""
    parent = parent_of(backbone) if backbone else None
    if backbone:
        method = parent.method if parent else Path(backbone).stem
    else:
        method = run.get('method', RANDOM)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if torch.cuda.is_available():
        memory = torch.cuda.max_memory_allocated() / 2**20
    return Record(
        run=work_dir.resolve().name,
        method=method,
        arch=architecture(backbone_cfg),
        task=run['task'],
        dataset=run['dataset'],
        config=str(config_path),
        config_sha256=config_sha256(config_path, overrides),
        backbone=str(backbone) if backbone else None,
        backbone_sha256=file_sha256(backbone) if backbone else None,
        parent=parent.run if parent else None,
        seed=seed,
        metrics={},
        hardware=hardware(),
        versions=versions(),
        duration_s=round(elapsed, 2),
        peak_memory_mib=round(memory, 1),
        started=_iso(started),
        finished=_iso(time.time()),
    )


def architecture(backbone: dict) -> str:
    """Short name of a ViT's size, e.g. ``ViT-B/16``, or ``ViT 128x6/8`` where it has no name."""
    from mmpretrain.models import VisionTransformer

    arch = backbone['arch']
    sizes = VisionTransformer.arch_zoo[arch] if isinstance(arch, str) else arch
    width, depth = sizes['embed_dims'], sizes['num_layers']
    name = ARCHITECTURES.get((width, depth), f'ViT {width}x{depth}')
    return f'{name}/{backbone.get("patch_size", 16)}'


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
    write_atomic(work_dir / 'curve.jsonl', ''.join(line + '\n' for _, line in lines))
    return 'curve.jsonl'


def _step(line: str) -> float:
    """Step of one line of scalars; negative for lines without a loss."""
    try:
        values = json.loads(line)
    except ValueError:  # the last line of a run that was killed while writing it
        return -1
    return values['step'] if 'loss' in values else -1


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec='seconds')
