# SymMIM on a few hundred real photographs, ViT-Ti/16 at 224 pixels: minutes on a CPU. It shows
# the way from JPEGs to a checkpoint, not a good encoder. IMAGENET_SAMPLE_ROOT holds train/; the
# held-out images are those of the detection that follows (TINY_COCO_ROOT).
_base_ = ['../symmim/vit_b_pretrain.py']
run = dict(dataset='imagenet-sample')
model = dict(
    backbone=dict(arch='deit-tiny'),
    head=dict(decoder=dict(embed_dims=128, num_heads=4)),
    contrast=dict(hidden_dims=512, out_dims=64),
)
train_dataloader = dict(
    num_workers=0, dataset=dict(data_root='{{$IMAGENET_SAMPLE_ROOT:data/imagenet_sample}}')
)
recipe = dict(epochs=6, batch=32, lr=1e-3, lr_batch=32, warmup_epochs=1)
default_hooks = dict(
    logger=dict(interval=4),
    images=dict(
        type='symmim_mm.ImagesHook',
        kind='reconstruction',
        dataset=dict(
            type='symmim_mm.ImageFolder',
            data_root='{{$TINY_COCO_ROOT:data/tiny_coco}}',
            data_prefix='val2017',
            with_label=False,
            pipeline=[
                dict(type='symmim_mm.LoadImageStrict'),
                dict(type='mmpretrain.ResizeEdge', scale=224, edge='short'),
                dict(type='mmpretrain.CenterCrop', crop_size=224),
                dict(type='mmpretrain.PackInputs'),
            ],
        ),
    ),
)
