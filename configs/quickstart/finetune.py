# Fine-tuning as in configs/classification, at a size for one CPU core.
_base_ = ['../classification/vit_b_finetune_imagenet.py', '../_base_/quickstart.py']
run = dict(dataset='sample')
model = dict(
    backbone={{_base_.quick.vit}},
    head=dict(num_classes=10, in_channels=128),
    train_cfg=None,  # no mixing of images in so short a run
)
train_dataloader = {{_base_.quick.train_loader}}
val_dataloader = {{_base_.quick.test_loader}}
test_dataloader = val_dataloader
recipe = dict(epochs=2, batch=32, lr=1e-3, lr_batch=32, warmup_epochs=0.5)
train_cfg = dict(val_interval=2)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.85))
default_hooks = dict(logger=dict(interval=10))
