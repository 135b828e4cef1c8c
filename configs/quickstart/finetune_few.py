# Fine-tuning with 20 labeled images a class, of 200 that the pre-training saw, for 200 steps.
_base_ = ['./finetune.py']
train_dataloader = dict(dataset=dict(labels=0.1))
recipe = dict(epochs=20, batch=20, lr_batch=20, warmup_epochs=2)
train_cfg = dict(val_interval=20)
default_hooks = dict(checkpoint=dict(interval=10))  # a step of so small a model is short
