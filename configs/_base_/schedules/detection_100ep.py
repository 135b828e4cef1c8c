# ViTDet (detectron2 projects/ViTDet, configs/COCO/mask_rcnn_vitdet_b_100ep.py): 184,375 iterations
# of 64 images = 100 epochs; the rate falls at 8/9 and at 26/27 of them. `--amp` trains in mixed
# precision, as ViTDet does.
recipe = dict(
    iterations=184375,
    batch=64,
    lr=1e-4,
    lr_batch=64,
    warmup_iterations=250,
    warmup_start=0.001,
    schedule='step',
    milestones=[163889, 177546],
    max_batch_per_gpu=8,
)
train_cfg = dict(type='IterBasedTrainLoop', val_interval=18438)  # ten times, the last at the end
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='symmim_mm.LayerDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW', fused=True, betas=(0.9, 0.999), weight_decay=0.1),
    paramwise_cfg=dict(layer_decay_rate=0.7, norm_decay_mult=0.0),
)
