# One budget for every method: MAE's published recipe (batch, optimizer, schedule, crops) at 300
# epochs, which is the baseline's home and not SymMIM's, and has a published neighbor (MMPretrain's
# MAE ViT-B after 300 epochs). Gradient clipping, and what a method does to the images beyond the
# crop, stay its own.
common = dict(
    recipe=dict(_delete_=True, epochs=300, batch=4096, lr=1.5e-4, lr_batch=256, warmup_epochs=40),
    optim_wrapper=dict(
        optimizer=dict(type='AdamW', fused=True, betas=(0.9, 0.95), weight_decay=0.05)
    ),
    crop=[
        dict(
            type='symmim_mm.LoadRandomResizedCrop',
            scale=224,
            crop_ratio_range=(0.2, 1.0),
            flip_prob=0.5,
        ),
        dict(type='mmpretrain.PackInputs'),
    ],
)
