# The symmetric mask alone, in MAE's manner: visible patches encoded, a decoder of two blocks, L2 on
# pixels normalized per patch. The other conditions state what they change in it.
_base_ = ['../symmim/vit_b_pretrain.py', '../_base_/evidence_cifar10.py']
run = dict(method='checkerboard', dataset='cifar10')
model = dict(
    backbone=dict(encoding='sparse', **_base_.evidence.vit),
    head=dict(
        loss='l2',
        norm_pix=True,
        decoder=dict(_delete_=True, depth=2, embed_dims=64, num_heads=4),
    ),
    contrast=dict(hidden_dims=512, out_dims=64),
    contrast_weight=0.0,
)
train_dataloader = {{_base_.evidence.loader}}
recipe = {{_base_.evidence.recipe}}
optim_wrapper = {{_base_.evidence.optim_wrapper}}
