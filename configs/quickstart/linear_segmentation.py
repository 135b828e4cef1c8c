# Dense linear probe of configs/segmentation/linear_vit_b_ade20k.py, on the images of ./upernet.py.
_base_ = ['./upernet.py']
run = dict(task='linear_segmentation')
iterations = 200
model = dict(
    backbone=dict(frozen_stages=4, final_norm=True, out_indices=(3,)),
    neck=dict(_delete_=True, type='symmim_mm.FrozenFeatures', in_channels=128, pooling='none'),
    decode_head=dict(
        _delete_=True,
        type='mmseg.FCNHead',
        in_channels=128,
        in_index=0,
        channels=128,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=8,
        align_corners=False,
        loss_decode=dict(
            type='mmseg.CrossEntropyLoss',
            use_sigmoid=False,
            loss_weight=1.0,
            class_weight={{_base_.class_weight}},
        ),
    ),
    auxiliary_head=None,
)
recipe = dict(iterations=iterations, batch=8, lr=3e-3, lr_batch=8)
train_cfg = dict(val_interval=iterations)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', fused=True, betas=(0.9, 0.999), weight_decay=1e-4),
)
default_hooks = dict(checkpoint=dict(interval=iterations))
