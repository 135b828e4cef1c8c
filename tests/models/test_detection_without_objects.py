"""Images that large-scale jitter leaves without objects stay in training, and DDP bears them."""

import json
from pathlib import Path

import numpy as np
import torch
from full_layouts import write_coco
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.structures import InstanceData
from paths import ROOT


def test_a_crop_without_objects_is_kept(tmp_path: Path) -> None:
    """One object in a corner, the image at twice its size: many crops of 1024 pixels miss it."""
    root = write_coco(tmp_path / 'coco', count=1)
    file = root / 'annotations' / 'instances_train2017.json'
    content = json.loads(file.read_text())
    corner = [2.0, 2.0, 202.0, 2.0, 202.0, 202.0, 2.0, 202.0]
    content['annotations'] = [
        dict(content['annotations'][0], bbox=[2, 2, 200, 200], area=40000, segmentation=[corner])
    ]
    file.write_text(json.dumps(content))
    cfg = Config.fromfile(ROOT / 'configs' / 'detection' / 'mask-rcnn_vit_b_100ep_coco.py')
    init_default_scope('mmdet')
    cfg.train_dataloader.dataset.data_root = str(root)
    (resize,) = (step for step in cfg.train_pipeline if step.type == 'RandomResize')
    resize.ratio_range = (2.0, 2.0)
    dataset = DATASETS.build(dict(cfg.train_dataloader.dataset, pipeline=cfg.train_pipeline))
    np.random.seed(0)
    counts = [len(dataset[0]['data_samples'].gt_instances) for _ in range(20)]
    assert set(counts) == {0, 1}


def test_every_parameter_takes_part_when_there_is_no_object() -> None:
    """A gradient of zero is one; a parameter without any would stop DDP."""
    cfg = Config.fromfile(ROOT / 'configs' / 'quickstart' / 'mask_rcnn.py')
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    sample = DetDataSample(
        metainfo=dict(
            img_shape=(96, 96), pad_shape=(96, 96), batch_input_shape=(96, 96), ori_shape=(96, 96)
        )
    )
    sample.gt_instances = InstanceData(
        bboxes=torch.zeros(0, 4),
        labels=torch.zeros(0, dtype=torch.long),
        masks=BitmapMasks(np.zeros((0, 96, 96), np.uint8), 96, 96),
    )
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4))
    losses, _ = model.parse_losses(model.loss(torch.randn(1, 3, 96, 96), [sample]))
    losses.backward()
    assert losses.isfinite()
    assert [name for name, param in model.named_parameters() if param.grad is None] == []
