# ViTDet-L as published, 55.5 / 49.2 from MAE's ViT-L (detectron2 mask_rcnn_vitdet_l_100ep.py).
_base_ = ['./mask-rcnn_vitdet_b_100ep_coco.py']
model = dict(
    backbone=dict(
        arch='large', out_indices=(23,), global_blocks=(5, 11, 17, 23), drop_path_rate=0.4
    ),
    neck=dict(in_channels=1024),
)
recipe = dict(max_batch_per_gpu=4)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.8))
