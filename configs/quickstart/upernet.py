# The 160k recipe with small numbers: a ViT of 4 blocks on 12 x 12 patches, for images of 96
# pixels; one tap a block.
_base_ = [
    '../segmentation/upernet_vit_b_160k_ade20k.py',
    '../_base_/quickstart.py',
    '../_base_/quickstart_scenes.py',
]
run = dict(task='segmentation', dataset='sample')
iterations = 350

model = dict(
    data_preprocessor=dict(size=(96, 96)),
    backbone=dict(
        **{**_base_.quick.vit, 'img_size': 96},
        out_indices=(0, 1, 2, 3),
        drop_path_rate=0.0,
    ),
    neck=dict(embed_dim=128, rescales=[2, 1, 0.5, 0.25]),
    decode_head=dict(
        in_channels=[128, 128, 128, 128],
        channels=48,
        num_classes=8,
        loss_decode=dict(class_weight={{_base_.scenes.class_weight}}),
    ),
    auxiliary_head=dict(
        in_channels=128,
        channels=32,
        num_classes=8,
        loss_decode=dict(class_weight={{_base_.scenes.class_weight}}),
    ),
    test_cfg=dict(_delete_=True, mode='whole'),
)

train_dataloader = {{_base_.scenes.train}}
val_dataloader = {{_base_.scenes.test}}
test_dataloader = val_dataloader

recipe = dict(
    iterations=iterations,
    batch=4,
    lr=2e-3,
    lr_batch=4,
    warmup_iterations=30,
    warmup_start=0.01,
)
train_cfg = dict(val_interval=iterations)
optim_wrapper = dict(
    paramwise_cfg=dict(layer_decay_rate=0.9),
    clip_grad=dict(max_norm=5.0),
)
default_hooks = dict(checkpoint=dict(interval=iterations))
