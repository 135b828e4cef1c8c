# COCO instances with large-scale jitter (Ghiasi et al., arXiv 2012.07177; ViTDet
# configs/common/coco_loader_lsj.py): scaled by 0.1 to 2.0, cropped to 1024 x 1024. The model's
# preprocessor pads to that size, after the normalization, with 0.
_base_ = ['./coco_instance.py']

size = (1024, 1024)
train_pipeline = [
    dict(type='symmim_mm.LoadImageStrict'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='mmdet.RandomFlip', prob=0.5),
    dict(
        type='RandomResize',
        scale=size,
        ratio_range=(0.1, 2.0),
        keep_ratio=True,
        resize_type='mmdet.Resize',
        backend='pillow',  # with anti-aliasing, as detectron2: down to a tenth needs it
    ),
    dict(
        type='mmdet.RandomCrop',
        crop_type='absolute',
        crop_size=size,
        recompute_bbox=True,
        allow_negative_crop=True,
    ),
    # An image that the crop leaves without objects is kept: it teaches background.
    dict(
        type='mmdet.FilterAnnotations',
        min_gt_bbox_wh=(1e-2, 1e-2),
        by_mask=True,
        keep_empty=False,
    ),
    dict(type='mmdet.PackDetInputs'),
]
test_pipeline = [
    dict(type='symmim_mm.LoadImageStrict'),
    dict(type='mmdet.Resize', scale=size, keep_ratio=True, backend='pillow'),
    dict(
        type='mmdet.PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    batch_sampler=None,  # every image is padded to the same shape
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
