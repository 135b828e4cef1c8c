# iBOT-S (vit_small_512_ade20k_160k.py): lr 3e-5, layer decay .9, drop path .1, the head as wide as
# the ViT. iBOT also norms every tap; none is normed here.
_base_ = ['./upernet_vit_b_160k_ade20k.py']
model = dict(
    backbone=dict(arch='deit-small'),
    neck=dict(embed_dim=384),
    decode_head=dict(in_channels=[384, 384, 384, 384], channels=384),
    auxiliary_head=dict(in_channels=384),
)
recipe = dict(lr=3e-5)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.9))
