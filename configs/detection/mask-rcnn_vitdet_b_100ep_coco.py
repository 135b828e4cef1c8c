# ViTDet-B as published, 51.6 / 45.9 from MAE's ViT-B (detectron2 projects/ViTDet,
# configs/COCO/mask_rcnn_vitdet_b_100ep.py): windows of 14 patches, padded; relative positions that
# start at zero; no class token; an anchor for every object; weight decay for the norms of pyramid
# and heads. Not as there: masks are bitmaps (detectron2: polygons), and gradients are exchanged as
# they are (detectron2: in fp16).
_base_ = ['./mask-rcnn_vit_b_100ep_coco.py']
model = dict(
    backbone=dict(with_cls_token=False, window_size=14, rel_pos_grid=64),
    train_cfg=dict(rpn=dict(assigner=dict(min_pos_iou=0.0))),
)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'neck.': dict(decay_mult=1.0), '_head.': dict(decay_mult=1.0)})
)
