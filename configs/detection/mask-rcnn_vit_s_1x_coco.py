# Nobody published a ViT-S of this recipe: CAE-B's values, with drop path .1 (ours).
_base_ = ['./mask-rcnn_vit_b_1x_coco.py']
model = dict(backbone=dict(arch='deit-small', drop_path_rate=0.1), neck=dict(in_channels=384))
