_base_ = ['./vit_b_attentive_imagenet.py']
model = dict(
    backbone=dict(arch='large', frozen_stages=24),
    neck=dict(in_channels=1024, num_heads=16),
    head=dict(in_channels=1024),
)
