_base_ = ['./linear_vit_b_ade20k.py']
model = dict(
    backbone=dict(arch='large', frozen_stages=24, out_indices=(23,)),
    neck=dict(in_channels=1024),
    decode_head=dict(in_channels=1024, channels=1024),
)
