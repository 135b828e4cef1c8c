"""Cases for mmcv's ``nms`` and ``roi_align``, and their results from the operators in use.

``golden_operators.json`` holds the results of mmcv's compiled operators. It was written with
onedl-mmcv 2.3.6, compiled for the CPU against torch 2.11.0 (``make setup OPS=compiled``), by

    python tests/compat/operator_cases.py > tests/compat/golden_operators.json

All inputs are multiples of 1/16 made by integer arithmetic, the same on every machine.
"""

import itertools
import json
from collections.abc import Iterator

import torch
from torch import Tensor


def numbers(count: int, factor: int, modulus: int) -> Tensor:
    """Return ``count`` multiples of 1/16 from 0 to ``modulus / 16``."""
    return (torch.arange(count) * factor % modulus).float() / 16


def boxes_and_scores(count: int) -> tuple[Tensor, Tensor]:
    """Return overlapping boxes ``(count, 4)`` and distinct scores ``(count,)``."""
    corners = torch.stack([numbers(count, 37, 211), numbers(count, 59, 193)], 1)
    sizes = torch.stack([numbers(count, 53, 131), numbers(count, 71, 149)], 1) + 1
    scores = (torch.arange(count) * 29 % 101 + 1) / 128  # 101 is prime: distinct up to 101 boxes
    return torch.cat([corners, corners + sizes], 1), scores


def nms_cases() -> Iterator[tuple[str, dict]]:
    """Yield names and arguments of ``mmcv.ops.nms``."""
    for count, threshold, offset in itertools.product((1, 60), (0.1, 0.3, 0.5, 0.7), (0, 1)):
        boxes, scores = boxes_and_scores(count)
        arguments = dict(boxes=boxes, scores=scores, iou_threshold=threshold, offset=offset)
        yield f'{count} boxes, threshold {threshold}, offset {offset}', arguments


def roi_align_cases() -> Iterator[tuple[str, Tensor, Tensor, Tensor, dict]]:
    """Yield name, features ``(2, 2, 5, 6)``, regions ``(5, 5)``, gradient and other arguments."""
    features = numbers(120, 83, 157).reshape(2, 2, 5, 6)
    regions = torch.tensor(
        [
            [0, 1.25, 0.5, 4.75, 3.5],
            [1, 0, 0, 6, 5],
            [1, -2, -1.5, 2.25, 9],  # beyond three borders
            [0, 3.5, 2.25, 3.75, 2.5],  # smaller than a pixel
            [0, 4, 4, 4, 4],  # without area
        ]
    )
    grad = numbers(60, 47, 103).reshape(5, 2, 2, 3)
    for aligned, ratio, scale in itertools.product((True, False), (0, 2), (1.0, 0.5)):
        name = f'aligned {aligned}, sampling_ratio {ratio}, scale {scale}'
        rois = torch.cat([regions[:, :1], regions[:, 1:] / scale], 1)
        arguments = dict(
            output_size=(2, 3),
            spatial_scale=scale,
            sampling_ratio=ratio,
            pool_mode='avg',
            aligned=aligned,
        )
        yield name, features, rois, grad, arguments


def results() -> dict[str, dict]:
    """Return what mmcv's operators give for every case, as lists."""
    from mmcv.ops import nms, roi_align

    found: dict[str, dict] = dict(nms={}, roi_align={})
    for name, arguments in nms_cases():
        found['nms'][name] = nms(**arguments)[1].tolist()
    for name, features, rois, grad, arguments in roi_align_cases():
        leaf = features.clone().requires_grad_()
        output = roi_align(leaf, rois, *arguments.values())
        output.backward(grad)
        found['roi_align'][name] = [output.flatten().tolist(), leaf.grad.flatten().tolist()]
    return found


if __name__ == '__main__':
    print(json.dumps(results(), separators=(',', ':')).replace('],"', '],\n"'))
