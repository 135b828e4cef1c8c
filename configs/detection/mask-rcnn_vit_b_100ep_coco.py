# Mask R-CNN on ViT-B, 100 epochs. Every value is ViTDet-B's, but for the windows: 16 patches, which
# divide the 64 x 64 grid of a 1024-pixel picture (ViTDet: 14, padded), and no relative positions.
_base_ = [
    '../_base_/models/mask-rcnn_vit.py',
    '../_base_/datasets/coco_instance_lsj1024.py',
    '../_base_/schedules/detection_100ep.py',
    '../_base_/runtime/iterations.py',
]
default_scope = 'mmdet'
run = dict(task='detection', dataset='coco-2017')
custom_hooks = [dict(type='symmim_mm.PicturesHook', kind='detection')]
