# Dense linear probe on ADE20K after DINOv2: the last block's patch tokens of the frozen encoder, a
# BatchNorm, one linear layer per patch, whose logits are enlarged to the image. The head is
# DINOv2's (dinov2/eval/segmentation, BNHead), but its BatchNorm has no scale and shift, as those of
# a linear layer follow; schedule and optimizer are those of the configs released with its heads.
_base_ = ['./upernet_vit_b_160k_ade20k.py']
run = dict(task='linear_segmentation')
model = dict(
    backbone=dict(frozen_stages=12, final_norm=True, out_indices=(11,), drop_path_rate=0.0),
    neck=dict(_delete_=True, type='symmim_mm.FrozenFeatures', in_channels=768, pooling='none'),
    decode_head=dict(
        _delete_=True,
        type='mmseg.FCNHead',
        in_channels=768,
        in_index=0,
        channels=768,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=150,
        align_corners=False,
        loss_decode=dict(type='mmseg.CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    ),
    auxiliary_head=None,
)
recipe = dict(iterations=40000, lr=1e-3)
train_cfg = dict(val_interval=4000)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', fused=True, betas=(0.9, 0.999), weight_decay=1e-4),
)
