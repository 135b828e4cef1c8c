# UperNet on ViT-B: MAE's values (lr 1e-4, layer decay .65, drop path .1), absolute positions alone.
_base_ = [
    '../_base_/models/upernet_vit.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/segmentation_160k.py',
    '../_base_/runtime/iterations.py',
]
default_scope = 'mmseg'
run = dict(task='segmentation', dataset='ade20k')
custom_hooks = [dict(type='symmim_mm.PicturesHook', kind='segmentation')]
