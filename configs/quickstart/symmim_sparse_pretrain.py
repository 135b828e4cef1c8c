# SymMIM with the settings of `symmim pretrain`, at a size for one CPU core: it encodes visible
# patches only and predicts normalized pixels, with little contrast. symmim_pretrain.py has those of
# configs/symmim.
_base_ = ['../symmim/vit_b_sparse_pretrain.py', '../_base_/quickstart.py']
run = dict(dataset='sample')
model = dict(
    backbone={{_base_.quick.vit}},
    head=dict(loss='l2', norm_pix=True, decoder=dict(depth=2, embed_dims=64, num_heads=4)),
    contrast=dict(hidden_dims=512, out_dims=64),
    contrast_weight=0.1,
)
train_dataloader = {{_base_.quick.pretrain.loader}}
recipe = {{_base_.quick.pretrain.recipe}}
default_hooks = {{_base_.quick.pretrain.hooks}}
