"""Cost of one training step: FLOPs, and memory other than that of the weights.

Memory is counted on fake tensors, and so are FLOPs, unless the model is small.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from symmim_mm.config.image_size import image_channels, training_image_size
from symmim_mm.planning.fake_model import build_without_storage, fill_with_zeros, make_runnable
from symmim_mm.planning.memory import PeakMemory

# A step of fewer parameters and pixels takes less time than one on fake tensors.
SMALL = dict(parameters=1 << 22, pixels=1 << 16)
# The CPU's fused attention, which PyTorch's counter does not know; of the shapes of its tensors.
CPU_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: (
        lambda *shapes, **_: sdpa_flop_count(*shapes[:3])
    ),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda *shapes, **_: sdpa_backward_flop_count(*shapes[:4])
    ),
}


class TrainingStep(nn.Module):
    """Forward pass of a training step, from a batch of images to one number.

    Pre-training and classification run the model's ``loss``. Segmentation runs the heads and their
    losses at the size of the image, without the accuracy that is logged. Detection runs backbone,
    neck and proposal head, then box and mask head on the largest number of regions that training
    samples (``sampler.num`` per image, of which ``pos_fraction`` have masks); what depends on the
    values of boxes (assignment, sampling, suppression, RoI align, losses) is left out. k-NN and a
    linear classifier on stored features run the frozen encoder.
    """

    def __init__(self, model: nn.Module, cfg: Config) -> None:
        super().__init__()
        self.model = model
        self.size = training_image_size(cfg)
        self.channels = image_channels(cfg.model.get('backbone') or {})
        self.kind = 'frozen' if 'evaluation' in cfg else cfg.run.task
        parameters = model.parameters()
        self.trains = self.kind != 'frozen' and any(p.requires_grad for p in parameters)
        preprocessor = cfg.model.get('data_preprocessor') or {}
        self.two_views = preprocessor.get('views') == 'distorted'

    def make_batch(self, images: int) -> Tensor:
        """Return images ``(B, C, H, W)``, fake ones within the fake tensor mode."""
        return torch.zeros(images, self.channels, *self.size)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a scalar to differentiate, for normalized images ``(B, C, H, W)``."""
        match self.kind:
            case 'pretrain':
                views = [inputs, inputs.clone()] if self.two_views else inputs
                return _total(self.model.loss(views, None))
            case 'detection':
                return self._detection(inputs)
            case 'segmentation' | 'linear_segmentation':
                return self._segmentation(inputs)
            case 'frozen':
                with torch.no_grad():
                    return self.model.backbone(inputs)[-1].sum()
        classes = self.model.head.num_classes
        samples = [DataSample().set_gt_score(torch.full((classes,), 1.0 / classes)) for _ in inputs]
        return _total(self.model.loss(inputs, samples))

    def _segmentation(self, inputs: Tensor) -> Tensor:
        features = self.model.extract_feat(inputs)
        labels = torch.zeros(len(inputs), *self.size, dtype=torch.long)
        heads = [self.model.decode_head]
        if self.model.with_auxiliary_head:
            heads.append(self.model.auxiliary_head)
        losses = []
        for head in heads:
            logits = F.interpolate(head(features), self.size, mode='bilinear')
            # The number of pixels is given because class weights would make it depend on labels.
            losses.append(head.loss_decode(logits, labels, avg_factor=labels.numel()))
        return sum(losses)

    def _detection(self, inputs: Tensor) -> Tensor:
        model, roi = self.model, self.model.roi_head
        features = model.extract_feat(inputs)
        outputs = [*model.rpn_head(features)]
        sampler = model.train_cfg.rcnn.sampler
        regions = len(inputs) * sampler.num
        # Regions are gathered from all levels; these zeros carry a gradient likewise.
        seed = sum(level.mean() for level in features)
        parts = [(roi.bbox_roi_extractor, roi.bbox_head, regions)]
        if roi.with_mask:  # a detector of boxes alone has neither of these
            masked = int(regions * sampler.pos_fraction)
            parts.append((roi.mask_roi_extractor, roi.mask_head, masked))
        for extractor, head, count in parts:
            sides = extractor.roi_layers[0].output_size
            outputs.append(head(seed + torch.zeros(count, extractor.out_channels, *sides)))
        return _total(outputs)


@dataclass(frozen=True)
class Flops:
    """FLOPs of a step for one image: of matrix products, convolutions and attention.

    A multiplication and an addition are two FLOPs.
    """

    forward: int  # of the forward pass
    forward_backward: int  # with the backward pass; 0 where nothing is trained
    parts: dict[str, int]  # of the forward pass, by children of the model, or theirs


@dataclass(frozen=True)
class Activations:
    """Peak memory of a step without parameters, buffers and gradients."""

    images: int  # in the step
    float32: int  # bytes in full precision
    bfloat16: int  # bytes in mixed precision


def measure_step(
    step: TrainingStep, mode: FakeTensorMode, images: int
) -> tuple[Flops, Activations]:
    """Run steps on fake tensors, of a model made runnable by ``mode``: FLOPs and memory.

    ``images`` must be 2 at least for BatchNorm over single numbers.
    """
    float32, bfloat16 = (_peak_memory(step, mode, images, amp) for amp in (False, True))
    return _count_flops(step, mode, images), Activations(images, float32, bfloat16)


def flops_per_image(cfg: Config) -> Flops:
    """Count the FLOPs of a training step of a config for one image; no data are needed."""
    model = build_without_storage(cfg)
    step = TrainingStep(model, cfg)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if parameters > SMALL['parameters'] or math.prod(step.size) > SMALL['pixels']:
        return _count_flops(step, make_runnable(model), images=2)
    fill_with_zeros(model)
    with torch.random.fork_rng(devices=[]):  # what masks are drawn with is left as it is
        return _count_flops(step, nullcontext(), images=2)


def _count_flops(step: TrainingStep, mode: AbstractContextManager, images: int) -> Flops:
    counter = FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION)
    with mode, counter:
        loss = step(step.make_batch(images))
        # What is computed again in the backward pass is no part's.
        counts = {
            name: sum(operations.values()) // images
            for name, operations in counter.get_flop_counts().items()
        }
        if step.trains:
            loss.backward()
    step.zero_grad(set_to_none=True)
    prefix = 'TrainingStep.model.'  # parts are its children, or theirs where it calls these
    return Flops(
        forward=counts['Global'],
        forward_backward=counter.get_total_flops() // images if step.trains else 0,
        parts={
            name.removeprefix(prefix): count
            for name, count in counts.items()
            if name.startswith(prefix)
            and name.count('.') < 4
            and name.rpartition('.')[0] not in counts
        },
    )


def _peak_memory(step: TrainingStep, mode: FakeTensorMode, images: int, amp: bool) -> int:
    """Return the peak of a step in bytes, in which gradients are added to existing ones."""
    with mode:
        inputs = step.make_batch(images)
        trained = [p for p in step.parameters() if step.trains and p.requires_grad]
        for parameter in trained:
            parameter.grad = torch.empty_like(parameter)
        known = [*step.parameters(), *step.buffers(), *(p.grad for p in trained)]
        with PeakMemory(known) as memory:
            with torch.autocast('cpu', dtype=torch.bfloat16, enabled=amp):
                loss = step(inputs)
            if step.trains:
                loss.backward()
    step.zero_grad(set_to_none=True)
    return memory.peak


def _total(found: dict | list) -> Tensor:
    """Return the sum over all tensors of a nested structure."""
    return sum(tensor.float().sum() for tensor in tree_iter(found))
