"""One training step of any of the three libraries, as a module that needs no data."""

import torch
from mmengine.config import Config
from mmpretrain.structures import DataSample
from mmseg.models.utils import resize
from torch import Tensor, nn

from symmim_mm.config.image_size import training_image_size


class TrainingStep(nn.Module):
    """The forward pass of a training step, from a batch of pictures to one number.

    Pre-training and classification are the model's own ``loss``. Segmentation is its heads and
    their losses at the size of the picture, without the accuracy that is logged. Detection is
    backbone, neck and proposal head, then box and mask head on as many regions as training
    samples at most (``sampler.num`` a picture, of which ``pos_fraction`` have masks); what depends
    on the values of boxes - assignment, sampling, suppression, cutting regions out, losses - is
    left out. k-NN and a linear classifier on stored features are the frozen encoder.

    Args:
        model: as built from ``cfg.model``.
        cfg: the config of the run.
    """

    def __init__(self, model: nn.Module, cfg: Config) -> None:
        super().__init__()
        self.model = model
        self.size = training_image_size(cfg)
        self.kind = 'frozen' if 'evaluation' in cfg else cfg.run.task
        parameters = model.parameters()
        self.trains = self.kind != 'frozen' and any(p.requires_grad for p in parameters)
        preprocessor = cfg.model.get('data_preprocessor') or {}
        self.two_views = preprocessor.get('views') == 'distorted'

    def make_batch(self, pictures: int) -> Tensor:
        """Pictures ``(B, 3, H, W)`` without values; call it within the mode of the stand-ins."""
        return torch.empty(pictures, 3, *self.size)

    def forward(self, inputs: Tensor) -> Tensor:
        """A scalar to differentiate, for normalised pictures ``(B, 3, H, W)``."""
        match self.kind:
            case 'pretrain':
                views = [inputs, inputs.clone()] if self.two_views else inputs
                return _total(self.model.loss(views, None))
            case 'detection':
                return self._detection(inputs)
            case 'segmentation':
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
            logits = resize(head(features), self.size, mode='bilinear', align_corners=False)
            # The number of pixels is given because class weights would make it depend on labels.
            losses.append(head.loss_decode(logits, labels, avg_factor=labels.numel()))
        return sum(losses)

    def _detection(self, inputs: Tensor) -> Tensor:
        model, roi = self.model, self.model.roi_head
        features = model.extract_feat(inputs)
        outputs = [*model.rpn_head(features)]
        sampler = model.train_cfg.rcnn.sampler
        regions = len(inputs) * sampler.num
        # Regions are gathered from all levels; a stand-in of them carries a gradient likewise.
        seed = sum(level.mean() for level in features)
        for extractor, head, count in (
            (roi.bbox_roi_extractor, roi.bbox_head, regions),
            (roi.mask_roi_extractor, roi.mask_head, int(regions * sampler.pos_fraction)),
        ):
            sides = extractor.roi_layers[0].output_size
            outputs.append(head(seed + torch.zeros(count, extractor.out_channels, *sides)))
        return _total(outputs)


def _total(found: Tensor | dict | list | tuple) -> Tensor:
    """The sum over all tensors of a nested structure."""
    if isinstance(found, Tensor):
        return found.float().sum()
    values = found.values() if isinstance(found, dict) else found
    return sum(_total(value) for value in values)
