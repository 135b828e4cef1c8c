# CIFAR-10 as pictures in folders named by class: CIFAR10_ROOT holds train/<class>/, test/<class>/.
cifar = dict(
    root='{{$CIFAR10_ROOT:data/cifar10}}',
    crop=[
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
    whole=[dict(type='LoadImageFromFile'), dict(type='mmpretrain.PackInputs')],
)
