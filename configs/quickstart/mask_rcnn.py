# The 100-epoch recipe with small numbers: a ViT of 4 blocks on 12 x 12 patches, windows of 6 x 6,
# levels of strides 8 and 16, for images of 96 pixels with shapes of 20 to 56.
_base_ = ['../detection/mask-rcnn_vit_b_100ep_coco.py', '../_base_/quickstart.py']
run = dict(task='detection', dataset='sample')

data_root = 'work_dirs/quickstart/data/coco/'
metainfo = dict(classes=('disc', 'square', 'triangle', 'star', 'ring', 'cross'))
iterations = 400
channels = 64

model = dict(
    data_preprocessor=dict(pad_size_divisor=8),
    backbone=dict(
        **_base_.quick.vit,
        out_indices=(3,),
        window_size=6,
        global_blocks=(1, 3),
        drop_path_rate=0.0,
    ),
    neck=dict(in_channels=128, out_channels=channels, scale_factors=(1, 0.5), num_outs=2),
    rpn_head=dict(
        in_channels=channels,
        feat_channels=channels,
        num_convs=1,
        anchor_generator=dict(scales=[2.6, 3.7], ratios=[1.0], strides=[8, 16]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            out_channels=channels, featmap_strides=[8], roi_layer=dict(sampling_ratio=1)
        ),
        bbox_head=dict(
            _delete_=True,
            type='mmdet.Shared2FCBBoxHead',
            in_channels=channels,
            fc_out_channels=128,
            roi_feat_size=7,
            num_classes=6,
            bbox_coder=dict(
                type='mmdet.DeltaXYWHBBoxCoder',
                target_means=[0.0, 0.0, 0.0, 0.0],
                target_stds=[0.1, 0.1, 0.2, 0.2],
            ),
            reg_class_agnostic=True,
            loss_cls=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='mmdet.L1Loss', loss_weight=1.0),
        ),
        mask_roi_extractor=dict(
            out_channels=channels,
            featmap_strides=[8],
            roi_layer=dict(output_size=7, sampling_ratio=1),
        ),
        mask_head=dict(
            num_convs=2, in_channels=channels, conv_out_channels=channels, num_classes=6
        ),
    ),
    train_cfg=dict(
        rpn=dict(assigner=dict(pos_iou_thr=0.5, neg_iou_thr=0.3), sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=16, pos_fraction=0.5), mask_size=14),
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=50), rcnn=dict(max_per_img=20)),
)

train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        pipeline=[
            dict(type='symmim_mm.LoadImageStrict'),
            dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
            dict(type='mmdet.RandomFlip', prob=0.5),
            dict(type='mmdet.PackDetInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=10,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        pipeline=[
            dict(type='symmim_mm.LoadImageStrict'),
            dict(type='mmdet.Resize', scale=(96, 96), keep_ratio=True),
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

recipe = dict(
    _delete_=True,
    iterations=iterations,
    batch=6,
    lr=1e-3,
    lr_batch=6,
    warmup_iterations=50,
    warmup_start=0.01,
    min_lr=1e-5,
)
train_cfg = dict(val_interval=iterations)
optim_wrapper = dict(
    optimizer=dict(weight_decay=0.05),
    paramwise_cfg=dict(layer_decay_rate=0.9),
    clip_grad=dict(max_norm=5.0),
)
default_hooks = dict(checkpoint=dict(interval=iterations))
