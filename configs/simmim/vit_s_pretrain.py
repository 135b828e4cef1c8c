# OpenMixup trains ViT-S by ViT-B's values (its ViT-S is 768 wide and 8 deep, ours DeiT's).
_base_ = ['./vit_b_pretrain.py']
model = dict(backbone=dict(arch='deit-small'))
