# Fine-tuning with 20 labeled images a class, 600 steps.
_base_ = ['../quickstart/finetune_few.py', '../_base_/evidence_drawn.py']
run = dict(dataset='drawn, 5 % of the labels')
model = dict(backbone={{_base_.evidence.vit}})
train_dataloader = dict(dataset=dict(labels=0.05, **_base_.evidence.data.dataset))
val_dataloader = {{_base_.evidence.data}}
test_dataloader = val_dataloader
recipe = dict(epochs=60, warmup_epochs=6)
train_cfg = dict(val_interval=60)
