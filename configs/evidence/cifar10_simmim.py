# SimMIM: 60 % of the squares of 2 x 2 patches masked, dense encoding, one linear layer, L1.
_base_ = ['../simmim/vit_b_pretrain.py', '../_base_/evidence_cifar10.py']
run = dict(dataset='cifar10')
model = dict(backbone={{_base_.evidence.vit}})
train_dataloader = {{_base_.evidence.loader}}
recipe = {{_base_.evidence.recipe}}
optim_wrapper = {{_base_.evidence.optim_wrapper}}
