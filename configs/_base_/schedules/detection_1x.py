# CAE's Mask R-CNN fine-tuning: 12 epochs of batches of 32, the rate falls after epochs 9 and 11,
# 500 iterations of warm-up. `--amp` trains in mixed precision.
recipe = dict(
    epochs=12,
    batch=32,
    lr=3e-4,
    lr_batch=32,
    warmup_iterations=500,
    warmup_start=0.001,
    schedule='step',
    milestones=[9, 11],
    max_batch_per_gpu=4,
)
train_cfg = dict(type='EpochBasedTrainLoop', val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='symmim_mm.LayerDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW', fused=True, betas=(0.9, 0.999), weight_decay=0.05),
    # No decay for norms, biases and other 1-d parameters, as in BEiT.
    paramwise_cfg=dict(layer_decay_rate=0.75, norm_decay_mult=0.0, flat_decay_mult=0.0),
)
