# SymMIM on CIFAR-10 in folders, with the quickstart's ViT on patches of 4 x 4 pixels.
# CIFAR10_ROOT holds train/<class>/ and test/<class>/.
_base_ = ['../quickstart/symmim_pretrain.py']
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
recipe = dict(epochs=2, batch=128, lr=1e-3, lr_batch=128, warmup_epochs=0.2)
default_hooks = dict(
    logger=dict(interval=50),
    pictures=dict(
        dataset=dict(
            data_root=data_root,
            data_prefix='test',
            pipeline=[dict(type='LoadImageFromFile'), dict(type='mmpretrain.PackInputs')],
        )
    ),
)
