# MAE: 75 % masked at random.
_base_ = ['../quickstart/mae_pretrain.py', '../_base_/evidence_drawn.py']
run = dict(dataset='drawn')
model = dict(backbone={{_base_.evidence.vit}})
train_dataloader = {{_base_.evidence.data}}
recipe = {{_base_.evidence.recipe}}
optim_wrapper = {{_base_.evidence.optim_wrapper}}
default_hooks = dict(images=None)
