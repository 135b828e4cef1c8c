# ImageNet-1K with labels, in folders named by class; augmentation of MAE's fine-tuning.
_normalization = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
data_preprocessor = dict(type='mmpretrain.ClsDataPreprocessor', **_normalization)
_fill = [104, 116, 124]  # the mean color, BGR

train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=False,
    sampler=dict(type='symmim_mm.ShardSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    drop_last=True,
    dataset=dict(
        type='symmim_mm.ImageFolder',
        data_root='{{$IMAGENET_ROOT:data/imagenet}}',
        data_prefix='train',
        pipeline=[
            dict(type='symmim_mm.LoadRandomResizedCrop', scale=224, flip_prob=0.5, layout='hwc'),
            dict(
                type='mmpretrain.RandAugment',
                policies='timm_increasing',
                num_policies=2,
                total_level=10,
                magnitude_level=9,
                magnitude_std=0.5,
                hparams=dict(pad_val=_fill, interpolation='bicubic'),
            ),
            dict(
                type='mmpretrain.RandomErasing',
                erase_prob=0.25,
                mode='rand',
                min_area_ratio=0.02,
                max_area_ratio=1 / 3,
                # MMPretrain's MAE fine-tuning, for timm's noise after normalization.
                fill_color=[103.53, 116.28, 123.675],
                fill_std=[57.375, 57.12, 58.395],
            ),
            dict(type='mmpretrain.PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='symmim_mm.ImageFolder',
        data_root='{{$IMAGENET_ROOT:data/imagenet}}',
        data_prefix='val',
        pipeline=[
            dict(type='symmim_mm.LoadImageStrict'),
            dict(
                type='mmpretrain.ResizeEdge',
                scale=256,
                edge='short',
                backend='pillow',
                interpolation='bicubic',
            ),
            dict(type='mmpretrain.CenterCrop', crop_size=224),
            dict(type='mmpretrain.PackInputs'),
        ],
    ),
)
val_evaluator = dict(type='mmpretrain.Accuracy')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
