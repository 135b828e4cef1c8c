# OpenMixup trains ViT-L by ViT-B's values.
_base_ = ['./vit_b_pretrain.py']
model = dict(backbone=dict(arch='large'))
