# k-NN on frozen features of CIFAR-10.
_base_ = ['./cifar10_finetune.py']
run = dict(task='knn')
model = dict(backbone=dict(out_type='raw', final_norm=True, drop_path_rate=0.0))
train_dataloader = dict(
    sampler=dict(shuffle=False),
    drop_last=False,
    dataset=dict(pipeline={{_base_.cifar.whole}}),
)
evaluation = dict(pooling='patch_mean', k=20, temperature=0.07)
