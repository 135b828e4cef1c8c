"""The training step of Mask R-CNN and UperNet on a ViT, as their configs have it."""

import argparse
import gc
import math
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.common import (
    check_gpu,
    environment,
    interleave,
    markdown,
    say,
    spread,
    timed,
    with_spread,
)

if TYPE_CHECKING:
    import torch

    from benchmarks.step_trainer import Trainer

TASKS = dict(detection='Mask R-CNN', segmentation='UperNet')
CONFIGS = dict(
    detection='detection/mask-rcnn_vit_{size}_100ep_coco.py',
    segmentation='segmentation/upernet_vit_{size}_160k_ade20k.py',
)
TOY = dict(detection='quickstart/mask_rcnn.py', segmentation='quickstart/upernet.py')
OBJECTS = 7  # in an image, as COCO has on average


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tools/benchmark.py transfer``."""
    parser.add_argument(
        '--size', choices=('b', 'l', 'quickstart'), default='b', help='(default: b)'
    )
    parser.add_argument(
        '--tasks', nargs='+', choices=TASKS, default=list(TASKS), metavar='TASK',
        help=f'of {", ".join(TASKS)} (default: both)',
    )  # fmt: skip
    parser.add_argument('--batch', type=int, default=2, help='images per step (default 2)')
    parser.add_argument('--steps', type=int, default=3, help='in each repeat (default 3)')
    parser.add_argument('--repeats', type=int, default=5, help='(default 5)')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cuda', help='(default cuda)')
    parser.add_argument('--amp', action='store_true', help='bfloat16; needs a GPU')


def run(args: argparse.Namespace) -> dict:
    """Measure the tasks in turn, on noise with objects drawn into its annotations."""
    import torch

    device = torch.device(args.device)
    check_gpu(device.type, args.amp)
    torch.manual_seed(0)
    trainers = {}
    for task in args.tasks:
        say(f'building {TASKS[task]}')
        trainers[task] = make_transfer_trainer(task, args.size, device, args.amp)
    for trainer in trainers.values():
        trainer.train(args.batch, 2)  # the optimizer and the libraries allocate
        trainer.take_phases()
    cases = {
        task: partial(timed, partial(trainer.train, args.batch, args.steps))
        for task, trainer in trainers.items()
    }
    samples = interleave(cases, args.repeats, say)
    result = dict(
        settings=dict(
            size=args.size,
            device=device.type,
            precision='bfloat16' if args.amp else 'float32',
            batch=args.batch,
            steps_a_repeat=args.steps,
        ),
        repeats=args.repeats,
        environment=environment(),
        tasks={},
    )
    for task, measured in samples.items():
        seconds = spread([sample.seconds / args.steps for sample in measured])
        rate = spread([sample.amount / sample.seconds for sample in measured])
        peak = None
        if device.type == 'cuda':
            torch.cuda.reset_peak_memory_stats()
            others = sum(trainers[other].held_bytes() for other in trainers if other != task)
            trainers[task].train(args.batch)
            peak = torch.cuda.max_memory_allocated() - others
        result['tasks'][task] = dict(rate=rate, seconds_a_step=seconds, peak_bytes=peak)
    del cases, trainers
    gc.collect()
    return result


def make_transfer_trainer(task: str, size: str, device: 'torch.device', amp: bool) -> 'Trainer':
    """Build the training of a config, ready for batches of noise.

    Args:
        task: one of ``TASKS``.
        size: ``'b'``, ``'l'``, or ``'quickstart'`` for the configs of the demo.
        device: where it trains.
        amp: in bfloat16, which needs a GPU.
    """
    from mmengine.config import Config

    from benchmarks.step_cases import CONFIGS as FOLDER
    from benchmarks.step_cases import trainer_of
    from symmim_mm.config.recipe import apply_recipe

    name = TOY[task] if size == 'quickstart' else CONFIGS[task].format(size=size)
    cfg = Config.fromfile(FOLDER / name)
    apply_recipe(cfg, 1)
    trainer = trainer_of(cfg, device, amp)
    if task == 'detection':
        side = 96 if size == 'quickstart' else 1024
        make = _detection_batch
    else:
        side = cfg.model.data_preprocessor.size[0]
        make = _segmentation_batch
    classes = cfg.model.roi_head.bbox_head if task == 'detection' else cfg.model.decode_head
    trainer.make_batch = partial(make, side=side, classes=classes.num_classes)
    return trainer


def _noise(images: int, side: int) -> list['torch.Tensor']:
    import torch

    return list(torch.randint(0, 256, (images, 3, side, side), dtype=torch.uint8))


def _detection_batch(images: int, side: int, classes: int) -> dict:
    """Return images uint8 with ``OBJECTS`` boxes and masks each, as the loader gives them."""
    import numpy as np
    import torch
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    samples = []
    for _ in range(images):
        corners = torch.rand(OBJECTS, 2) * side * 0.6
        boxes = torch.cat([corners, corners + side * (0.05 + 0.3 * torch.rand(OBJECTS, 2))], dim=1)
        masks = np.zeros((OBJECTS, side, side), dtype=np.uint8)
        for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist(), strict=True):
            mask[top:bottom, left:right] = 1
        shapes = ('img_shape', 'ori_shape', 'pad_shape', 'batch_input_shape')
        sample = DetDataSample(
            metainfo=dict.fromkeys(shapes, (side, side)) | dict(scale_factor=(1.0, 1.0))
        )
        sample.gt_instances = InstanceData(
            bboxes=HorizontalBoxes(boxes),
            labels=torch.randint(classes, (OBJECTS,)),
            masks=BitmapMasks(masks, side, side),
        )
        sample.ignored_instances = InstanceData(
            bboxes=HorizontalBoxes(torch.zeros(0, 4)),
            labels=torch.zeros(0, dtype=torch.long),
            masks=BitmapMasks(np.zeros((0, side, side), dtype=np.uint8), side, side),
        )
        samples.append(sample)
    return dict(inputs=_noise(images, side), data_samples=samples)


def _segmentation_batch(images: int, side: int, classes: int) -> dict:
    """Return images uint8 with label maps of rectangles, as the loader gives them."""
    import torch
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    samples = []
    cells = math.ceil(side / 32)
    for _ in range(images):
        coarse = torch.randint(classes, (1, cells, cells))
        labels = coarse.repeat_interleave(32, 1).repeat_interleave(32, 2)[:, :side, :side]
        sample = SegDataSample(metainfo=dict(img_shape=(side, side), ori_shape=(side, side)))
        sample.gt_sem_seg = PixelData(data=labels)
        samples.append(sample)
    return dict(inputs=_noise(images, side), data_samples=samples)


def tables(result: dict) -> dict[str, str]:
    """Return a Markdown table of a result."""
    settings = result['settings']
    header = [
        f'{settings["size"]}, {settings["batch"]} images, {settings["precision"]}',
        'images per second', 'seconds a step', 'peak GiB',
    ]  # fmt: skip
    rows = [
        [
            TASKS[task],
            with_spread(found['rate'], '.2f'),
            with_spread(found['seconds_a_step'], '.3f'),
            '' if found['peak_bytes'] is None else f'{found["peak_bytes"] / 2**30:.1f}',
        ]
        for task, found in result['tasks'].items()
    ]
    return dict(transfer=markdown(header, rows))
