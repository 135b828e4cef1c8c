# CAE-L: lr 2e-4, layer decay .85, drop path .2.
_base_ = ['./mask-rcnn_vit_b_1x_coco.py']
model = dict(
    backbone=dict(arch='large', out_indices=(23,)),
    neck=dict(in_channels=1024),
)
recipe = dict(lr=2e-4)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.85))
