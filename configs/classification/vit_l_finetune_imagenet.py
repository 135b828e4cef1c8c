# MAE (FINETUNE.md), ViT-L: 50 epochs.
_base_ = ['./vit_b_finetune_imagenet.py']
model = dict(backbone=dict(arch='large', drop_path_rate=0.2), head=dict(in_channels=1024))
recipe = dict(epochs=50, lr=1e-3, max_batch_per_gpu=64)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))
