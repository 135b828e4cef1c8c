# iBOT's ViT-S: 200 epochs, layer decay .75. It sweeps the rate; ViT-B's is kept here (ours).
_base_ = ['./vit_b_finetune_imagenet.py']
model = dict(backbone=dict(arch='deit-small'), head=dict(in_channels=384))
recipe = dict(epochs=200)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))
