# Attentive probe as in configs/classification, at a size for one CPU core.
_base_ = ['../classification/vit_b_attentive_imagenet.py', '../_base_/quickstart.py']
run = dict(dataset='sample')
data_preprocessor = dict(num_classes=10)
model = dict(
    backbone=dict(frozen_stages=4, **_base_.quick.vit),
    neck=dict(in_channels=128, num_heads=4),
    head=dict(num_classes=10, in_channels=128),
)
train_dataloader = {{_base_.quick.train_loader}}
val_dataloader = {{_base_.quick.test_loader}}
val_evaluator = dict(topk=(1,))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
recipe = dict(epochs=2, batch=32, lr_batch=32, warmup_epochs=0.5)
train_cfg = dict(val_interval=2)
default_hooks = dict(logger=dict(interval=10))
