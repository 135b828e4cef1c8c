# MAE trains no ViT-S from scratch: ViT-B's values (ours).
_base_ = ['./vit_b_scratch_imagenet.py']
model = dict(backbone=dict(arch='deit-small'), head=dict(in_channels=384))
