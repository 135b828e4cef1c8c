# `recipe` is stated per global batch; symmim_mm.config.recipe turns it into the batch per process,
# accumulation, learning rate and schedule of a run on any number of GPUs.
# SymMIM's own are not known: these are ConMIM's, whose readme states them for ViT-L only.
recipe = dict(
    epochs=800,
    batch=2048,
    max_batch_per_gpu=256,
    lr=7.5e-4,
    lr_batch=2048,
    warmup_epochs=10,
    min_lr=1e-5,
)
train_cfg = dict(type='EpochBasedTrainLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    # With rate 1 it does no layer decay, but merges equal parameter groups.
    constructor='symmim_mm.LayerDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW', fused=True, betas=(0.9, 0.98), weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
    paramwise_cfg=dict(
        layer_decay_rate=1.0,
        norm_decay_mult=0.0,
        flat_decay_mult=0.0,
        # As SimMIM's Swin and OpenMixup's SimMIM; ConMIM decays its mask token.
        custom_keys={'mask_token': dict(decay_mult=0.0)},
    ),
)
