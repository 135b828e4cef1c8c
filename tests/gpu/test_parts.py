"""Parts whose arithmetic differs on a GPU: detection's operators, normalization, the losses."""

import pytest
import torch
import torch.distributed as dist
from mmcv.ops import RoIAlign, batched_nms
from mmengine.registry import MODELS, init_default_scope
from processes import free_ports
from tiny_models import tiny_config
from torch import Tensor, nn

pytestmark = pytest.mark.gpu


def boxes(count: int, side: float) -> Tensor:
    corners = torch.rand(count, 2) * side * 0.7
    return torch.cat([corners, corners + 4 + torch.rand(count, 2) * side * 0.3], dim=1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes ``(n, 4)`` and ``(m, 4)``."""
    low, high = torch.max(a[:, None, :2], b[:, :2]), torch.min(a[:, None, 2:], b[:, 2:])
    inner = (high - low).clamp(min=0).prod(-1)
    area = [(x[:, 2:] - x[:, :2]).prod(-1) for x in (a, b)]
    return inner / (area[0][:, None] + area[1] - inner)


def test_suppression_is_that_of_its_definition(device: torch.device) -> None:
    """Keep a box unless a better one of its class that is kept overlaps it by more than 0.5."""
    found = boxes(300, 100)
    scores = torch.randperm(300) / 300
    classes = torch.randint(3, (300,))
    overlap = iou(found.double(), found.double())
    kept: list[int] = []
    for i in scores.argsort(descending=True).tolist():
        if all(classes[i] != classes[j] or overlap[i, j] <= 0.5 for j in kept):
            kept.append(i)
    config = dict(type='nms', iou_threshold=0.5)
    _, keep = batched_nms(found.to(device), scores.to(device), classes.to(device), config)
    assert keep.tolist() == kept


def test_regions_are_those_of_float64(device: torch.device) -> None:
    features = torch.randn(2, 8, 24, 24)
    rois = torch.cat([torch.randint(2, (16, 1)).float(), boxes(16, 24 * 4)], dim=1)
    layer = RoIAlign(7, 0.25, 2)
    results = []
    for place, dtype in ((device, torch.float32), (torch.device('cpu'), torch.float64)):
        leaf = features.to(place, dtype, copy=True).requires_grad_()
        output = layer(leaf, rois.to(place, dtype))
        output.square().sum().backward()
        results.append((output.detach().cpu().double(), leaf.grad.cpu().double()))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_synchronized_batch_norm_alone_is_batch_norm(device: torch.device) -> None:
    if device.type == 'cpu':
        pytest.skip('torch synchronizes on GPUs only')
    port = f'tcp://127.0.0.1:{free_ports(1)[0]}'
    dist.init_process_group('nccl', init_method=port, rank=0, world_size=1)
    try:
        plain, synchronized = nn.BatchNorm1d(16), nn.SyncBatchNorm(16)
        features = torch.randn(32, 16, device=device)
        outputs = []
        for layer in (plain, synchronized):
            leaf = features.clone().requires_grad_()
            output = layer.to(device)(leaf)
            output.pow(3).sum().backward()
            outputs.append((output.detach(), leaf.grad))
        torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(plain.running_var, synchronized.running_var)
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize('method', ['symmim', 'mae', 'simmim'])
def test_losses_and_gradients_are_those_of_the_cpu(
    method: str, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    init_default_scope('mmpretrain')
    drawn = torch.rand
    # A seed gives other numbers on a GPU; masks must be the same here.
    monkeypatch.setattr(
        torch, 'rand', lambda *size, device=None, **kwargs: drawn(*size, **kwargs).to(device)
    )
    found = []
    for place in (torch.device('cpu'), device):
        torch.manual_seed(0)
        model = MODELS.build(tiny_config(method))
        model.init_weights()
        model.to(place).train()
        torch.manual_seed(1)
        views = [torch.randn(8, 3, 32, 32).to(place) for _ in range(2)]
        losses = model.loss(views if method == 'symmim' else views[0], None)
        total = sum(value for name, value in losses.items() if 'loss' in name)
        total.backward()
        named = model.named_parameters()
        norms = {name: p.grad.norm().item() for name, p in named if p.grad is not None}
        found.append((total.item(), norms))
    (total, norms), (total_of_device, norms_of_device) = found
    assert total_of_device == pytest.approx(total, rel=1e-3)
    # Relative to the largest: float32 leaves nothing of a gradient that should be 0.
    assert norms_of_device == pytest.approx(norms, rel=2e-2, abs=1e-3 * max(norms.values()))
