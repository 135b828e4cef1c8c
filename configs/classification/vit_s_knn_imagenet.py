_base_ = ['./vit_b_knn_imagenet.py']
model = dict(backbone=dict(arch='deit-small'))
