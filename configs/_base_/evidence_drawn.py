# One model and budget for every condition of docs/evidence.md on drawn images: 24,000 images seen,
# optimizer and clipping as on CIFAR-10.
evidence = dict(
    vit=dict(arch=dict(num_layers=6)),
    data=dict(dataset=dict(data_root='work_dirs/evidence_drawn/data/imagenet')),
    recipe=dict(
        _delete_=True, epochs=6, batch=32, lr=1e-3, lr_batch=32, warmup_epochs=0.75, min_lr=1e-5
    ),
    optim_wrapper=dict(
        optimizer=dict(type='AdamW', fused=True, betas=(0.9, 0.95), weight_decay=0.05),
        clip_grad=None,
    ),
)
