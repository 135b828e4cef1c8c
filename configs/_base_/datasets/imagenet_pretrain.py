# Images without labels: any folder of images will do, sub-folders included, and any prepared
# set (tools/prepare_dataset.py).
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
        with_label=False,
        pipeline=[
            dict(
                type='symmim_mm.LoadRandomResizedCrop',
                scale=224,
                crop_ratio_range=(0.2, 1.0),  # MAE; ours for SymMIM, whose paper does not say
                flip_prob=0.5,
            ),
            dict(type='mmpretrain.PackInputs'),
        ],
    ),
)
