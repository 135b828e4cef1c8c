# CIFAR-10 as images in folders named by class: CIFAR10_ROOT holds train/<class>/, test/<class>/.
cifar = dict(
    root='{{$CIFAR10_ROOT:data/cifar10}}',
    crop=[
        dict(
            type='symmim_mm.LoadRandomResizedCrop',
            scale=32,
            crop_ratio_range=(0.4, 1.0),
            flip_prob=0.5,
        ),
        dict(type='mmpretrain.PackInputs'),
    ],
    whole=[dict(type='symmim_mm.LoadImageStrict'), dict(type='mmpretrain.PackInputs')],
)
