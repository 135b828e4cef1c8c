"""Stand-in for ``mmcv._ext``: ``nms`` and ``roi_align`` by torchvision's operators.

mmcv's wheel on PyPI is source code; compiling its operators takes minutes and, for GPUs, a CUDA
toolkit. torchvision's wheels carry the same two operators for CPU and CUDA. Signatures are those
of ``mmcv/ops/csrc/pytorch/pybind.cpp``. Any other operator can be looked up, as mmcv does while
it is imported, and raises :class:`UserError` with its name when it is called.
"""

from collections.abc import Callable
from typing import NoReturn

import torch
import torchvision
from torch import Tensor

from symmim_mm.utils.errors import UserError

_WAY_OUT = 'needs the compiled operators of mmcv: run `make setup OPS=compiled`'


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Return the indices of the boxes that non-maximum suppression keeps, best score first.

    A box is dropped if its IoU with a kept one is above the threshold. Boxes of equal score are
    taken in the order of their index; mmcv's own order is not defined there.

    Args:
        boxes: ``(n, 4)`` of x1, y1, x2, y2; half precision is computed in float32.
        scores: ``(n,)``.
        iou_threshold: from 0 to 1.
        offset: 0, or 1 where the far edge counts as inside: widths are x2 - x1 + 1.

    Returns:
        int64 ``(k,)`` on the device of ``boxes``.
    """
    dtype = torch.promote_types(torch.promote_types(boxes.dtype, scores.dtype), torch.float32)
    boxes = boxes.to(dtype)
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision.ops.nms(boxes, scores.to(dtype), iou_threshold)


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the averages of bilinear samples in each bin of each region to ``output``.

    Args:
        input: feature maps ``(n, c, h, w)``; half precision is computed in float32.
        rois: ``(k, 5)`` of image index, x1, y1, x2, y2 in image coordinates.
        output: ``(k, c, aligned_height, aligned_width)``, filled here.
        argmax_y: not used by average pooling.
        argmax_x: not used by average pooling.
        aligned_height: bins of a region along y.
        aligned_width: bins of a region along x.
        spatial_scale: feature map pixels per image pixel.
        sampling_ratio: samples per bin and axis; 0 for about one per feature map pixel.
        pool_mode: 1 for the average; 0, the maximum, raises :class:`UserError`.
        aligned: whether pixel centers lie at half coordinates.
    """
    _check_average(pool_mode)
    features = _full_precision(input)
    output.copy_(
        torch.ops.torchvision.roi_align(
            features,
            rois.to(features.dtype),
            spatial_scale,
            aligned_height,
            aligned_width,
            sampling_ratio,
            aligned,
        )
    )


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the gradient with respect to the feature maps to ``grad_input`` ``(n, c, h, w)``.

    ``grad_output`` is that of the output, ``(k, c, aligned_height, aligned_width)``; the other
    arguments are those of :func:`roi_align_forward`.
    """
    _check_average(pool_mode)
    grad = _full_precision(grad_output)
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(
            grad,
            rois.to(grad.dtype),
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
    )


def get_compiler_version() -> str:
    """Return what MMEngine logs as mmcv's compiler."""
    return f'none (operators of torchvision {torchvision.__version__})'


def get_compiling_cuda_version() -> str:
    """Return what mmcv says where it was not compiled for CUDA."""
    return 'not available'


def __getattr__(name: str) -> Callable[..., NoReturn]:
    """Return a function that refuses to be operator ``name``."""
    if name.startswith('_'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise UserError(f"mmcv's operator {name} {_WAY_OUT}")

    return refuse


def _full_precision(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _check_average(pool_mode: int) -> None:
    if pool_mode != 1:
        raise UserError(f"RoIAlign with pool_mode='max' {_WAY_OUT}")
