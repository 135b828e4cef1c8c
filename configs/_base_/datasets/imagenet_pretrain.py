# Pictures without labels: any folder of pictures will do, sub-folders included.
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    drop_last=True,
    dataset=dict(
        type='mmpretrain.CustomDataset',
        data_root='{{$IMAGENET_ROOT:data/imagenet}}',
        data_prefix='train',
        with_label=False,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='mmpretrain.RandomResizedCrop',
                scale=224,
                crop_ratio_range=(0.2, 1.0),  # MAE; ours for SymMIM, whose paper does not say
                backend='pillow',
                interpolation='bicubic',
            ),
            dict(type='mmpretrain.RandomFlip', prob=0.5),
            dict(type='mmpretrain.PackInputs'),
        ],
    ),
)
