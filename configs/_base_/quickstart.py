# The small numbers of the quickstart, each stated once: a ViT of 0.8 M parameters on images of
# 64 pixels, and one budget for all three pre-trainings.
quick = dict(
    root='work_dirs/quickstart/data/imagenet',
    crop=[
        dict(
            type='symmim_mm.LoadRandomResizedCrop',
            scale=64,
            crop_ratio_range=(0.4, 1.0),
            flip_prob=0.5,
        ),
        dict(type='mmpretrain.PackInputs'),
    ],
    center=[
        dict(type='symmim_mm.LoadImageStrict'),
        dict(type='mmpretrain.CenterCrop', crop_size=64),
        dict(type='mmpretrain.PackInputs'),
    ],
    vit=dict(
        arch=dict(
            _delete_=True, embed_dims=128, num_layers=4, num_heads=4, feedforward_channels=512
        ),
        img_size=64,
        patch_size=8,
    ),
)
quick.update(
    pretrain=dict(
        loader=dict(
            num_workers=0,
            dataset=dict(data_root=quick['root'], pipeline=quick['crop']),
        ),
        recipe=dict(
            _delete_=True,
            epochs=8,
            batch=16,  # so short a run gains more from steps than from large batches
            lr=1e-3,
            lr_batch=16,
            warmup_epochs=1,
            min_lr=1e-5,
        ),
        hooks=dict(
            logger=dict(interval=10),
            images=dict(
                type='symmim_mm.ImagesHook',
                kind='reconstruction',
                dataset=dict(
                    type='symmim_mm.ImageFolder',
                    data_root=quick['root'],
                    data_prefix='val',
                    with_label=False,
                    pipeline=quick['center'],
                ),
            ),
        ),
    ),
    # Images with labels, for fine-tuning and for frozen features.
    train_loader=dict(
        batch_size=64,
        num_workers=0,
        dataset=dict(data_root=quick['root'], pipeline=quick['crop']),
    ),
    test_loader=dict(
        num_workers=0,
        dataset=dict(data_root=quick['root'], pipeline=quick['center']),
    ),
)
