_base_ = ['./cifar10_finetune_1.py']
recipe = dict(lr=3e-3)
