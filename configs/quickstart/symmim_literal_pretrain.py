# The literal reading of the paper's summaries, at a size for one CPU core.
_base_ = ['../symmim/vit_b_literal_pretrain.py', '../_base_/quickstart.py']
run = dict(dataset='sample')
model = dict(
    backbone={{_base_.quick.vit}},
    contrast=dict(hidden_dims=512, out_dims=64),
)
train_dataloader = {{_base_.quick.pretrain.loader}}
recipe = {{_base_.quick.pretrain.recipe}}
default_hooks = {{_base_.quick.pretrain.hooks}}
