# MAE (FINETUNE.md) finds 50 epochs sufficient for ViT-L.
_base_ = ['./vit_b_linear_imagenet.py']
model = dict(
    backbone=dict(arch='large', frozen_stages=24),
    neck=dict(in_channels=1024),
    head=dict(in_channels=1024),
)
recipe = dict(epochs=50)
