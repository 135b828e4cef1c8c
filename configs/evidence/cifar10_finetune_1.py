# Fine-tuning with 1 % of the labels, 50 images a class, measured on 2,000 held-out training images,
# by which the rate is chosen among this, _low and _high, and on the test images.
_base_ = ['../real/cifar10_finetune.py']
run = dict(dataset='cifar10, 1 % of the labels')
_whole = dict(
    type='symmim_mm.ImageFolder',
    data_root={{_base_.cifar.root}},
    pipeline={{_base_.cifar.whole}},
)
train_dataloader = dict(dataset=dict(labels=0.01))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmengine.ConcatDataset',
        datasets=[
            dict(_whole, data_prefix='train', labels=(0.96, 1.0)),
            dict(_whole, data_prefix='test'),
        ],
    )
)
val_evaluator = dict(_delete_=True, type='symmim_mm.HeldOutAccuracy', held_out=2000)
test_dataloader = val_dataloader
test_evaluator = val_evaluator
recipe = dict(epochs=60, batch=50, lr=1e-3, lr_batch=50, warmup_epochs=5, min_lr=1e-5)
train_cfg = dict(val_interval=60)
default_hooks = dict(checkpoint=dict(interval=20, max_keep_ckpts=1))
