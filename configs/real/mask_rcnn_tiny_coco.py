# Mask R-CNN on 50 real COCO images, tested on 50 others: it shows that the way from a pre-trained
# checkpoint to COCO's metrics works on photographs. Nobody learns 80 classes from 50 images, so
# the metrics stay near 0. TINY_COCO_ROOT says where annotations/, train2017/ and val2017/ are.
_base_ = ['../quickstart/mask_rcnn.py']
run = dict(task='detection', dataset='tiny-coco')

data_root = '{{$TINY_COCO_ROOT:data/tiny_coco}}/'
iterations = 300
size = (224, 224)

model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(
        arch='deit-tiny',
        img_size=224,
        patch_size=16,
        out_indices=(11,),
        window_size=7,
        global_blocks=4,
        drop_path_rate=0.1,
    ),
    neck=dict(in_channels=192, scale_factors=(2, 1, 0.5), num_outs=4),
    rpn_head=dict(
        anchor_generator=dict(scales=[3], ratios=[0.5, 1.0, 2.0], strides=[8, 16, 32, 64])
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[8, 16, 32], finest_scale=28),
        bbox_head=dict(num_classes=80),
        mask_roi_extractor=dict(featmap_strides=[8, 16, 32], finest_scale=28),
        mask_head=dict(num_classes=80),
    ),
    train_cfg=dict(rcnn=dict(sampler=dict(num=32))),
    test_cfg=dict(rpn=dict(max_per_img=100), rcnn=dict(max_per_img=100, score_thr=0.01)),
)
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=None,
        pipeline=[
            dict(type='symmim_mm.LoadImageStrict'),
            dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
            dict(type='RandomResize', scale=size, ratio_range=(0.8, 1.25), keep_ratio=True),
            dict(
                type='mmdet.RandomCrop',
                crop_type='absolute',
                crop_size=size,
                recompute_bbox=True,
                allow_negative_crop=True,
            ),
            dict(type='mmdet.FilterAnnotations', min_gt_bbox_wh=(1, 1), by_mask=True),
            dict(type='mmdet.RandomFlip', prob=0.5),
            dict(type='mmdet.PackDetInputs'),
        ],
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=None,
        pipeline=[
            dict(type='symmim_mm.LoadImageStrict'),
            dict(type='mmdet.Resize', scale=size, keep_ratio=True),
            dict(
                type='mmdet.PackDetInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
            ),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator
recipe = dict(iterations=iterations, batch=8, lr=5e-4, lr_batch=8)
train_cfg = dict(val_interval=iterations)
default_hooks = dict(checkpoint=dict(interval=iterations))
