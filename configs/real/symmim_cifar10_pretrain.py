# SymMIM on CIFAR-10 in folders: the quickstart's ViT with 6 blocks, on patches of 4 x 4 pixels.
_base_ = ['../quickstart/symmim_pretrain.py', '../_base_/datasets/cifar10.py']
run = dict(dataset='cifar10')
model = dict(backbone=dict(arch=dict(num_layers=6), img_size=32, patch_size=4))
train_dataloader = dict(
    dataset=dict(data_root={{_base_.cifar.root}}, pipeline={{_base_.cifar.crop}})
)
recipe = dict(epochs=2, batch=128, lr=1e-3, lr_batch=128, warmup_epochs=0.2)
default_hooks = dict(
    logger=dict(interval=50),
    images=dict(
        dataset=dict(
            data_root={{_base_.cifar.root}},
            data_prefix='test',
            pipeline={{_base_.cifar.whole}},
        )
    ),
)
