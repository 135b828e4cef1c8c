# Fine-tuning on ImageNet-1K after MAE (FINETUNE.md): global average pool, 100 epochs.
_base_ = ['../_base_/datasets/imagenet.py', '../_base_/runtime/default.py']
default_scope = 'mmpretrain'  # RandAugment names its operations without a scope
run = dict(task='finetune', dataset='imagenet-1k')

model = dict(
    type='mmpretrain.ImageClassifier',
    backbone=dict(
        type='mmpretrain.VisionTransformer',
        arch='base',
        img_size=224,
        patch_size=16,
        drop_path_rate=0.1,
        out_type='avg_featmap',
        final_norm=False,  # the norm stands behind the pooling instead
    ),
    head=dict(
        type='mmpretrain.LinearClsHead',
        num_classes=1000,
        in_channels=768,
        loss=dict(type='mmpretrain.LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        init_cfg=dict(type='TruncNormal', layer='Linear', std=2e-5),
    ),
    train_cfg=dict(
        augments=[
            dict(type='mmpretrain.Mixup', alpha=0.8),
            dict(type='mmpretrain.CutMix', alpha=1.0),
        ]
    ),
)
recipe = dict(
    epochs=100,
    batch=1024,
    lr=5e-4,
    lr_batch=256,
    warmup_epochs=5,
    min_lr=1e-6,
    max_batch_per_gpu=128,
)
train_cfg = dict(type='EpochBasedTrainLoop', val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='symmim_mm.LayerDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW', fused=True, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(layer_decay_rate=0.65, norm_decay_mult=0.0, flat_decay_mult=0.0),
)
