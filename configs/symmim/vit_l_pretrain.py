_base_ = ['./vit_b_pretrain.py']
model = dict(backbone=dict(arch='large'))
