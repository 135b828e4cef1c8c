# MAE: 75 % masked at random.
_base_ = ['../mae/vit_b_pretrain.py', '../_base_/evidence_cifar10.py']
run = dict(dataset='cifar10')
model = dict(
    backbone={{_base_.evidence.vit}},
    neck=dict(
        num_patches=64,
        patch_size=4,
        embed_dim=128,
        decoder_embed_dim=64,
        decoder_depth=2,
        decoder_num_heads=4,
    ),
    head=dict(patch_size=4),
)
train_dataloader = {{_base_.evidence.loader}}
recipe = {{_base_.evidence.recipe}}
optim_wrapper = {{_base_.evidence.optim_wrapper}}
