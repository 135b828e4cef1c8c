# The 160k recipe with small numbers: a ViT of 4 blocks on 12 x 12 patches, for images of 96
# pixels; one tap a block.
_base_ = ['../segmentation/upernet_vit_b_160k_ade20k.py', '../_base_/quickstart.py']
run = dict(task='segmentation', dataset='sample')

data_root = 'work_dirs/quickstart/data/ade20k/'
metainfo = dict(
    classes=('disc', 'square', 'triangle', 'star', 'ring', 'cross', 'sky', 'ground'),
    palette=[
        [220, 60, 60], [240, 160, 40], [230, 220, 70], [170, 80, 200],
        [60, 120, 230], [240, 130, 190], [140, 200, 240], [110, 150, 80],
    ],
)  # fmt: skip
iterations = 350
class_weight = [2.0] * 6 + [0.2] * 2  # sky and ground cover 70 % of the pixels
train_pipeline = [
    dict(type='symmim_mm.LoadImageStrict'),
    dict(type='symmim_mm.LoadLabelMap', classes=8),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmseg.PackSegInputs'),
]
test_pipeline = [
    dict(type='symmim_mm.LoadImageStrict'),
    dict(type='symmim_mm.LoadLabelMap', classes=8),
    dict(type='mmseg.PackSegInputs'),
]
# MMSegmentation's ADE20K class allows no other classes than its own.
dataset = dict(
    type='mmseg.BaseSegDataset',
    data_root=data_root,
    img_suffix='.png',
    seg_map_suffix='.png',
    reduce_zero_label=True,
    metainfo=metainfo,
)

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
        loss_decode=dict(class_weight=class_weight),
    ),
    auxiliary_head=dict(
        in_channels=128, channels=32, num_classes=8, loss_decode=dict(class_weight=class_weight)
    ),
    test_cfg=dict(_delete_=True, mode='whole'),
)

train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=train_pipeline, **dataset),
)
val_dataloader = dict(
    batch_size=10,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=test_pipeline, **dataset),
)
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
