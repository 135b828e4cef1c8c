# Weighted k-NN on frozen features of ImageNet-1K (settings of DINO, eval_knn.py, with the mean of
# the patch tokens): tools/knn.py.
_base_ = ['./vit_b_finetune_imagenet.py']
run = dict(task='knn')
model = dict(backbone=dict(out_type='raw', final_norm=True, drop_path_rate=0.0))
train_dataloader = dict(
    sampler=dict(shuffle=False),
    drop_last=False,
    dataset=dict(pipeline={{_base_.val_dataloader.dataset.pipeline}}),
)
evaluation = dict(pooling='patch_mean', k=20, temperature=0.07)
