"""mmcv's two operators by torchvision: equal to the compiled ones, and to their definition."""

import json
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmcv.ops import DeformConv2d, RoIAlign, SoftmaxFocalLoss, nms, roi_align
from operator_cases import nms_cases, results, roi_align_cases
from torch import Tensor

from symmim_mm.compat import mmcv_ext
from symmim_mm.utils.errors import UserError

GOLDEN = json.loads((Path(__file__).parent / 'golden_operators.json').read_text())


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Let mmcv use the stand-in, also in an environment with compiled operators."""
    for name in ('nms', 'roi_align', 'deform_conv', 'focal_loss'):
        monkeypatch.setattr(sys.modules[f'mmcv.ops.{name}'], 'ext_module', mmcv_ext)
    return mmcv_ext


def nms_by_definition(boxes: Tensor, scores: Tensor, threshold: float, offset: int) -> list[int]:
    """Return the indices kept by greedy suppression, in float64."""
    corners, kept = boxes.double().tolist(), []
    for index in sorted(range(len(scores)), key=lambda i: (-scores[i].item(), i)):
        x1, y1, x2, y2 = corners[index]
        for other in kept:
            u1, v1, u2, v2 = corners[other]
            width = max(0.0, min(x2, u2) - max(x1, u1) + offset)
            height = max(0.0, min(y2, v2) - max(y1, v1) + offset)
            areas = [
                (a2 - a1 + offset) * (b2 - b1 + offset)
                for a1, b1, a2, b2 in (corners[index], corners[other])
            ]
            union = sum(areas) - width * height
            if union and width * height / union > threshold:
                break
        else:
            kept.append(index)
    return kept


def roi_align_by_definition(
    features: Tensor, rois: Tensor, size: tuple[int, int], scale: float, ratio: int, aligned: bool
) -> Tensor:
    """Return the mean of bilinear samples per bin, in float64."""
    features, (bins_y, bins_x) = features.double(), size
    out = torch.zeros(len(rois), features.shape[1], bins_y, bins_x, dtype=torch.float64)
    for k, (image, *corners) in enumerate(rois.double().tolist()):
        x1, y1, x2, y2 = [value * scale - 0.5 * aligned for value in corners]
        width, height = x2 - x1, y2 - y1
        if not aligned:  # the older definition takes regions as at least one pixel wide
            width, height = max(width, 1.0), max(height, 1.0)
        count_y = ratio or math.ceil(height / bins_y)
        count_x = ratio or math.ceil(width / bins_x)
        for i in range(bins_y):
            for j in range(bins_x):
                for a in range(count_y):
                    for b in range(count_x):
                        y = y1 + (i + (a + 0.5) / count_y) * height / bins_y
                        x = x1 + (j + (b + 0.5) / count_x) * width / bins_x
                        sample = bilinear(features[int(image)], y, x)
                        out[k, :, i, j] += sample / (count_y * count_x)
    return out


def bilinear(features: Tensor, y: float, x: float) -> Tensor:
    """Return features ``(c, h, w)`` at a point; zero more than a pixel outside."""
    height, width = features.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros(len(features), dtype=torch.float64)
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = min(int(y), max(height - 2, 0)), min(int(x), max(width - 2, 0))
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, along = y - top, x - left
    upper = features[:, top, left] * (1 - along) + features[:, top, right] * along
    lower = features[:, bottom, left] * (1 - along) + features[:, bottom, right] * along
    return upper * (1 - down) + lower * down


def test_results_are_those_of_the_compiled_operators() -> None:
    found = results()
    assert found['nms'] == GOLDEN['nms']
    assert found['roi_align'].keys() == GOLDEN['roi_align'].keys()
    for name, values in found['roi_align'].items():
        for ours, compiled in zip(values, GOLDEN['roi_align'][name], strict=True):
            assert ours == pytest.approx(compiled, rel=1e-6, abs=1e-6), name


@given(
    seed=st.integers(0, 2**31),
    count=st.integers(0, 40),
    threshold=st.floats(0.05, 0.95),
    offset=st.sampled_from([0, 1]),
    levels=st.sampled_from([3, 10**6]),  # few levels of scores: many ties
)
def test_nms_is_greedy_suppression(seed, count, threshold, offset, levels) -> None:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 40
    sizes = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 30
    boxes = torch.cat([corners, corners + sizes], 1)
    scores = torch.randint(levels, (count,), generator=generator).double()
    kept = mmcv_ext.nms(boxes, scores, iou_threshold=threshold, offset=offset)
    assert kept.dtype == torch.int64
    assert kept.tolist() == nms_by_definition(boxes, scores, threshold, offset)


@given(
    seed=st.integers(0, 2**31),
    count=st.integers(0, 3),
    size=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    scale=st.sampled_from([1.0, 0.25]),
    ratio=st.integers(0, 3),
    aligned=st.booleans(),
)
def test_roi_align_is_the_mean_of_samples(seed, count, size, scale, ratio, aligned) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    corners = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 8 - 2
    sizes = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 6
    image = torch.randint(2, (count, 1), generator=generator).double()
    rois = torch.cat([image, corners / scale, (corners + sizes) / scale], 1)
    output = roi_align(features, rois, size, scale, ratio, 'avg', aligned)
    exact = roi_align_by_definition(features, rois, size, scale, ratio, aligned)
    torch.testing.assert_close(output, exact, rtol=0, atol=1e-6)


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('ratio', [0, 2])
def test_gradient_of_roi_align_is_that_of_its_output(aligned: bool, ratio: int) -> None:
    features = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0, 1.2, 0.6, 4.7, 3.4], [1, -2, -1, 2, 9]], dtype=torch.float64)
    torch.autograd.gradcheck(
        lambda value: roi_align(value, rois, (2, 3), 1.0, ratio, 'avg', aligned), (features,)
    )


def test_nothing_in_gives_nothing_out() -> None:
    boxes, kept = nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert boxes.shape == (0, 5) and kept.shape == (0,) and kept.dtype == torch.int64
    features = torch.ones(1, 2, 4, 4, requires_grad=True)
    output = roi_align(features, torch.zeros(0, 5), (3, 3))
    assert output.shape == (0, 2, 3, 3)
    output.sum().backward()
    assert not features.grad.any()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_full(dtype: torch.dtype) -> None:
    name, features, rois, grad, arguments = next(roi_align_cases())
    half = features.to(dtype).requires_grad_()
    full = half.detach().float().requires_grad_()
    # mmdet casts the regions to the type of the features.
    with torch.autocast('cpu', dtype=torch.bfloat16):
        output = roi_align(half, rois.to(dtype), *arguments.values())
    expected = roi_align(full, rois.to(dtype).float(), *arguments.values())
    assert output.dtype == dtype
    assert torch.equal(output, expected.to(dtype))
    output.backward(grad.to(dtype))
    expected.backward(grad.to(dtype).float())
    assert torch.equal(half.grad, full.grad.to(dtype))

    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    for pair in ((boxes.to(dtype), scores.to(dtype)), (boxes, scores.to(dtype))):
        assert nms(*pair, 0.5)[1].tolist() == [0, 2]


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_results_on_a_gpu_are_those_on_the_cpu() -> None:
    for name, arguments in nms_cases():
        boxes, scores, *others = arguments.values()
        assert nms(boxes.cuda(), scores.cuda(), *others)[1].tolist() == GOLDEN['nms'][name], name
    for name, features, rois, grad, arguments in roi_align_cases():
        leaf = features.cuda().requires_grad_()
        output = roi_align(leaf, rois.cuda(), *arguments.values())
        output.backward(grad.cuda())
        for ours, compiled in zip((output, leaf.grad), GOLDEN['roi_align'][name], strict=True):
            assert ours.flatten().tolist() == pytest.approx(compiled, abs=1e-4), name


def test_other_operators_refuse_by_name_when_they_are_called() -> None:
    convolution = DeformConv2d(3, 4, 3)  # can be built, and imported by mmdet
    with pytest.raises(UserError, match='deform_conv_forward needs .*OPS=compiled'):
        convolution(torch.zeros(1, 3, 8, 8), torch.zeros(1, 18, 6, 6))
    with pytest.raises(UserError, match='softmax_focal_loss_forward'):
        SoftmaxFocalLoss(2.0, 0.25)(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(UserError, match="pool_mode='max'"):
        RoIAlign(2, pool_mode='max')(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5))
    assert not hasattr(mmcv_ext, '__path__')
