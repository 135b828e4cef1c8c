# CAE has no ViT-S: ViT-B's values (ours).
_base_ = ['./vit_b_attentive_imagenet.py']
model = dict(
    backbone=dict(arch='deit-small'),
    neck=dict(in_channels=384, num_heads=6),
    head=dict(in_channels=384),
)
