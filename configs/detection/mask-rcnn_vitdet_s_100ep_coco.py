# Nobody published a ViT-S of this recipe: ViTDet-B's values throughout (ours).
_base_ = ['./mask-rcnn_vitdet_b_100ep_coco.py']
model = dict(backbone=dict(arch='deit-small'), neck=dict(in_channels=384))
