# SimMIM, ViT-B/16, under the budget that all methods share.
_base_ = ['../simmim/vit_b_pretrain.py', '../_base_/common_budget.py']
recipe = {{_base_.common.recipe}}
optim_wrapper = {{_base_.common.optim_wrapper}}
train_dataloader = dict(dataset=dict(pipeline={{_base_.common.crop}}))
