# ViT-L from scratch: 200 epochs and drop path .2 (MAE, arXiv:2111.06377, A.2, table 11; 82.6 %).
_base_ = ['./vit_b_scratch_imagenet.py']
model = dict(backbone=dict(arch='large', drop_path_rate=0.2), head=dict(in_channels=1024))
recipe = dict(epochs=200, max_batch_per_gpu=256)
