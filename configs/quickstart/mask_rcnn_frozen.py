# The same detector on a frozen encoder: what its features are worth as they are.
_base_ = ['./mask_rcnn.py']
iterations = 250
model = dict(backbone=dict(frozen_stages=4, final_norm=True))
recipe = dict(iterations=iterations)
train_cfg = dict(val_interval=iterations)
default_hooks = dict(checkpoint=dict(interval=iterations))
