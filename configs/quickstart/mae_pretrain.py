# MAE as in configs/mae, at a size for one CPU core.
_base_ = ['../mae/vit_b_pretrain.py', '../_base_/quickstart.py']
run = dict(dataset='sample')
model = dict(
    backbone={{_base_.quick.vit}},
    neck=dict(
        num_patches=64,
        patch_size=8,
        embed_dim=128,
        decoder_embed_dim=64,
        decoder_depth=2,
        decoder_num_heads=4,
    ),
    head=dict(patch_size=8),
)
train_dataloader = {{_base_.quick.pretrain.loader}}
recipe = {{_base_.quick.pretrain.recipe}}
default_hooks = {{_base_.quick.pretrain.hooks}}
