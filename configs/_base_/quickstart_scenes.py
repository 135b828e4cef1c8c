# The quickstart's scenes of 96 pixels with label maps, for its segmentation models.
scenes = dict(
    class_weight=[2.0] * 6 + [0.2] * 2,  # sky and ground cover 70 % of the pixels
    # MMSegmentation's ADE20K class allows no other classes than its own.
    dataset=dict(
        type='mmseg.BaseSegDataset',
        data_root='work_dirs/quickstart/data/ade20k/',
        img_suffix='.png',
        seg_map_suffix='.png',
        reduce_zero_label=True,
        metainfo=dict(
            classes=('disc', 'square', 'triangle', 'star', 'ring', 'cross', 'sky', 'ground'),
            palette=[
                [220, 60, 60], [240, 160, 40], [230, 220, 70], [170, 80, 200],
                [60, 120, 230], [240, 130, 190], [140, 200, 240], [110, 150, 80],
            ],
        ),
    ),
    load=[
        dict(type='symmim_mm.LoadImageStrict'),
        dict(type='symmim_mm.LoadLabelMap', classes=8),
    ],
)  # fmt: skip
scenes.update(
    train=dict(
        num_workers=0,
        persistent_workers=False,
        dataset=dict(
            pipeline=[
                *scenes['load'],
                dict(type='RandomFlip', prob=0.5),
                dict(type='mmseg.PackSegInputs'),
            ],
            **scenes['dataset'],
        ),
    ),
    test=dict(
        batch_size=10,
        num_workers=0,
        persistent_workers=False,
        dataset=dict(
            pipeline=[*scenes['load'], dict(type='mmseg.PackSegInputs')], **scenes['dataset']
        ),
    ),
)
