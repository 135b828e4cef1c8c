# Fine-tuning with 10 % of the labels, 500 images a class.
_base_ = ['./cifar10_finetune_1.py']
run = dict(dataset='cifar10, 10 % of the labels')
train_dataloader = dict(dataset=dict(labels=0.1))
recipe = dict(epochs=20, batch=100, lr_batch=100, warmup_epochs=2)
train_cfg = dict(val_interval=20)
