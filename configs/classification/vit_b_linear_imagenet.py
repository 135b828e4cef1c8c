# Linear probe on ImageNet-1K after MAE (FINETUNE.md, main_linprobe.py): features of the frozen
# encoder, a BatchNorm without scale, one linear layer, LARS. The feature is the mean of the patch
# tokens after the final norm, which every method trains; vit_b_linear_cls_imagenet.py takes MAE's,
# the class token.
_base_ = ['./vit_b_finetune_imagenet.py']
run = dict(task='linear')
model = dict(
    backbone=dict(frozen_stages=12, out_type='raw', final_norm=True, drop_path_rate=0.0),
    neck=dict(type='symmim_mm.FrozenFeatures', in_channels=768, pooling='patch_mean'),
    head=dict(
        loss=dict(_delete_=True, type='mmpretrain.CrossEntropyLoss'),
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.01),
    ),
    train_cfg=None,
)
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='symmim_mm.LoadRandomResizedCrop', scale=224, flip_prob=0.5),
            dict(type='mmpretrain.PackInputs'),
        ]
    )
)
recipe = dict(
    _delete_=True,
    epochs=90,
    batch=16384,
    lr=0.1,
    lr_batch=256,
    warmup_epochs=10,
    max_batch_per_gpu=2048,
)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='mmpretrain.LARS', momentum=0.9, weight_decay=0.0),
    # The rate of one-dimensional parameters is not adapted (MAE util/lars.py).
    paramwise_cfg=dict(custom_keys={'bias': dict(lars_exclude=True)}),
)
