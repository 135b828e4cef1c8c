_base_ = ['./vit_b_pretrain.py']
model = dict(backbone=dict(arch='large'))
recipe = dict(max_batch_per_gpu=128)
