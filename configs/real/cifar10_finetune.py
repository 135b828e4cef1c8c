# Fine-tuning on CIFAR-10 at 32 pixels.
_base_ = ['../quickstart/finetune.py']
run = dict(dataset='cifar10')
data_root = '{{$CIFAR10_ROOT:data/cifar10}}'
model = dict(backbone=dict(img_size=32, patch_size=4))
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='mmpretrain.RandomResizedCrop',
                scale=32,
                crop_ratio_range=(0.4, 1.0),
                interpolation='bicubic',
            ),
            dict(type='mmpretrain.RandomFlip', prob=0.5),
            dict(type='mmpretrain.PackInputs'),
        ],
    )
)
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='mmpretrain.PackInputs')]
val_dataloader = dict(
    dataset=dict(data_root=data_root, data_prefix='test', pipeline=test_pipeline)
)
test_dataloader = val_dataloader
recipe = dict(epochs=2, batch=128, lr=1e-3, lr_batch=128, warmup_epochs=0.2)
train_cfg = dict(val_interval=1)
default_hooks = dict(logger=dict(interval=50))
