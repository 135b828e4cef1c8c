# ViTDet (detectron2 projects/ViTDet, configs/COCO/mask_rcnn_vitdet_b_100ep.py): 184,375 iterations
# of 64 pictures = 100 epochs; the rate falls at 8/9 and at 26/27 of them. `--amp` trains in mixed
# precision, as ViTDet does.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=184375, val_interval=18437)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='symmim_mm.LayerDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.1),
    paramwise_cfg=dict(layer_decay_rate=0.7, norm_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=250),
    dict(type='MultiStepLR', by_epoch=False, milestones=[163889, 177546], gamma=0.1),
]
auto_scale_lr = dict(enable=False, base_batch_size=64)
