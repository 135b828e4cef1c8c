_base_ = ['./linear_vit_b_ade20k.py']
model = dict(
    backbone=dict(arch='deit-small'),
    neck=dict(in_channels=384),
    decode_head=dict(in_channels=384, channels=384),
)
