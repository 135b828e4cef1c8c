# UperNet fine-tuning of BEiT, CAE and MMSegmentation's MAE: 160,000 iterations of 16 images,
# linear warm-up over 1500, then linearly down to 0 (from there, as MMSegmentation; the others count
# from iteration 0). Position embedding and class token are not decayed, which the others meant but,
# by a slip over names, did not do. `--amp` trains in mixed precision.
recipe = dict(
    iterations=160000,
    batch=16,
    lr=1e-4,
    lr_batch=16,
    warmup_iterations=1500,
    warmup_start=1e-6,
    schedule='linear',
    max_batch_per_gpu=8,
)
train_cfg = dict(type='IterBasedTrainLoop', val_interval=16000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='symmim_mm.LayerDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW', fused=True, betas=(0.9, 0.999), weight_decay=0.05),
    # No decay for norms, biases and other 1-d parameters, as in BEiT.
    paramwise_cfg=dict(layer_decay_rate=0.65, norm_decay_mult=0.0, flat_decay_mult=0.0),
)
