# Condition `checkerboard` of docs/evidence.md on drawn images.
_base_ = ['../quickstart/symmim_pretrain.py', '../_base_/evidence_drawn.py']
run = dict(method='checkerboard', dataset='drawn')
model = dict(backbone={{_base_.evidence.vit}}, contrast_weight=0.0)
train_dataloader = {{_base_.evidence.data}}
recipe = {{_base_.evidence.recipe}}
optim_wrapper = {{_base_.evidence.optim_wrapper}}
default_hooks = dict(images=None)
