# Weighted k-NN on frozen features of ImageNet-1K (settings of DINO, eval_knn.py): the mean of the
# patch tokens, which every method trains, and the class token as a column of its own; k chosen on
# held-out training images, 26 of most classes.
_base_ = ['./vit_b_finetune_imagenet.py']
run = dict(task='knn')
model = dict(backbone=dict(out_type='raw', final_norm=True, drop_path_rate=0.0))
_pipeline = [
    # The validation's resizing and crop, in half its time.
    dict(type='symmim_mm.LoadCenterCrop', edge=256, crop=224),
    dict(type='mmpretrain.PackInputs'),
]
train_dataloader = dict(
    sampler=dict(shuffle=False), drop_last=False, dataset=dict(pipeline=_pipeline)
)
val_dataloader = dict(dataset=dict(pipeline=_pipeline))
evaluation = dict(
    pooling=['patch_mean', 'cls_token'],
    grid=dict(k=[10, 20, 100, 200]),
    held_out=0.02,
    temperature=0.07,
)
