# k-NN on frozen features; the training images are encoded without augmentation.
_base_ = ['./finetune.py']
run = dict(task='knn')
model = dict(backbone=dict(out_type='raw', final_norm=True, drop_path_rate=0.0))
train_dataloader = dict(
    sampler=dict(shuffle=False),
    drop_last=False,
    dataset=dict(pipeline={{_base_.quick.test_loader.dataset.pipeline}}),
)
evaluation = dict(pooling='patch_mean', k=20, temperature=0.07)
