_base_ = ['./vit_b_linear_features_imagenet.py']
model = dict(backbone=dict(arch='large'))
