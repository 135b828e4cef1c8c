# iBOT-L: lr 2e-5, layer decay .95, drop path .2. (CAE-L: 4e-5, .95, .15.)
_base_ = ['./upernet_vit_b_160k_ade20k.py']
model = dict(
    backbone=dict(arch='large', out_indices=(7, 11, 15, 23), drop_path_rate=0.2),
    neck=dict(embed_dim=1024),
    decode_head=dict(in_channels=[1024, 1024, 1024, 1024], channels=1024),
    auxiliary_head=dict(in_channels=1024),
)
recipe = dict(lr=2e-5)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.95))
