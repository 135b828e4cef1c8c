# Mask R-CNN on ViT-B, 12 epochs: CAE's optimizer, schedule, scales and stochastic depth, on the
# model of the 100-epoch recipe. CAE's own model differs: a feature pyramid network on four taps,
# GIoU loss, synchronized BatchNorm, layer scale; and it crops half of the images. Every block
# attends over the whole image, as in CAE; `--cfg-options model.backbone.global_blocks=4` puts
# windows in where memory is short.
_base_ = [
    '../_base_/models/mask-rcnn_vit.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/detection_1x.py',
    '../_base_/runtime/default.py',
]
default_scope = 'mmdet'
run = dict(task='detection', dataset='coco-2017')
custom_hooks = [dict(type='symmim_mm.ImagesHook', kind='detection')]
model = dict(backbone=dict(global_blocks='all', drop_path_rate=0.2))
