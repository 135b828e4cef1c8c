# UperNet on ViT-B: lr 1e-4, layer decay .65, drop path .1, as MMSegmentation's MAE-B
# (mae-base_upernet_8xb2-amp-160k) and CAE-B after 1600 epochs; absolute positions alone, no layer
# scale.
_base_ = [
    '../_base_/models/upernet_vit.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/segmentation_160k.py',
    '../_base_/runtime/iterations.py',
]
default_scope = 'mmseg'
run = dict(task='segmentation', dataset='ade20k')
custom_hooks = [dict(type='symmim_mm.ImagesHook', kind='segmentation')]
