# Nobody published a ViT-S of this recipe: MAE-B's values throughout, the head as wide as the ViT
# (ours).
_base_ = ['./upernet_vit_b_160k_ade20k.py']
model = dict(
    backbone=dict(arch='deit-small'),
    neck=dict(embed_dim=384),
    decode_head=dict(in_channels=[384, 384, 384, 384], channels=384),
    auxiliary_head=dict(in_channels=384),
)
