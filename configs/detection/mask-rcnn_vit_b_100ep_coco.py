# Mask R-CNN on ViT-B, 100 epochs, after ViTDet-B, but another model than ViTDet-B's of 51.6 / 45.9.
# Ours: windows of 16 patches, which divide the 64 x 64 grid of a 1024-pixel image (ViTDet: 14,
# padded); no relative positions; the class token is kept; masks are bitmaps (detectron2: polygons);
# an object needs an anchor of IoU .3 at least (detectron2: any); no weight decay for the norms of
# pyramid and heads (detectron2 exempts those of the ViT only), but, as there, for biases.
_base_ = [
    '../_base_/models/mask-rcnn_vit.py',
    '../_base_/datasets/coco_instance_lsj1024.py',
    '../_base_/schedules/detection_100ep.py',
    '../_base_/runtime/iterations.py',
]
default_scope = 'mmdet'
run = dict(task='detection', dataset='coco-2017')
model = dict(data_preprocessor=dict(pad_size_divisor=1024))
custom_hooks = [dict(type='symmim_mm.ImagesHook', kind='detection')]
