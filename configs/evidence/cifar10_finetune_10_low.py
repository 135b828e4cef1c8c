_base_ = ['./cifar10_finetune_10.py']
recipe = dict(lr=3e-4)
