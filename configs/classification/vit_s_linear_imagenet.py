# MAE has no ViT-S: ViT-B's values (ours).
_base_ = ['./vit_b_linear_imagenet.py']
model = dict(
    backbone=dict(arch='deit-small'),
    neck=dict(in_channels=384),
    head=dict(in_channels=384),
)
