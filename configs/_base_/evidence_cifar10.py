# One budget for every condition of docs/evidence.md on CIFAR-10: 100,000 images seen, the same
# batch, optimizer and crops; no clipping, whose threshold would weigh the losses anew.
_base_ = ['./datasets/cifar10.py']
evidence = dict(
    vit=dict(
        arch=dict(
            _delete_=True, embed_dims=128, num_layers=6, num_heads=4, feedforward_channels=512
        ),
        img_size=32,
        patch_size=4,
        drop_path_rate=0.0,
    ),
    loader=dict(
        num_workers=0,
        dataset=dict(data_root={{_base_.cifar.root}}, pipeline={{_base_.cifar.crop}}),
    ),
    recipe=dict(
        _delete_=True, epochs=2, batch=128, lr=1e-3, lr_batch=128, warmup_epochs=0.25, min_lr=1e-5
    ),
    optim_wrapper=dict(
        optimizer=dict(type='AdamW', fused=True, betas=(0.9, 0.95), weight_decay=0.05),
        clip_grad=None,
    ),
)
