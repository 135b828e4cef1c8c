# Dense linear probe as in configs/segmentation, with small numbers.
_base_ = [
    '../segmentation/linear_vit_b_ade20k.py',
    '../_base_/quickstart.py',
    '../_base_/quickstart_scenes.py',
]
run = dict(dataset='sample')
iterations = 200
model = dict(
    data_preprocessor=dict(size=(96, 96)),
    backbone=dict(
        **{**_base_.quick.vit, 'img_size': 96},
        frozen_stages=4,
        out_indices=(3,),
    ),
    neck=dict(in_channels=128),
    decode_head=dict(
        in_channels=128,
        channels=128,
        num_classes=8,
        loss_decode=dict(class_weight={{_base_.scenes.class_weight}}),
    ),
    test_cfg=dict(_delete_=True, mode='whole'),
)
train_dataloader = {{_base_.scenes.train}}
val_dataloader = {{_base_.scenes.test}}
test_dataloader = val_dataloader
recipe = dict(
    iterations=iterations, batch=8, lr=3e-3, lr_batch=8, warmup_iterations=30, warmup_start=0.01
)
train_cfg = dict(val_interval=iterations)
default_hooks = dict(checkpoint=dict(interval=iterations))
