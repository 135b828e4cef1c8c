# iBOT's ViT-S (run.sh): 200 epochs, 20 of warm-up, layer decay .75. It sweeps the rate and takes
# the class token; ViT-B's rate and mean are kept here (ours).
_base_ = ['./vit_b_finetune_imagenet.py']
model = dict(backbone=dict(arch='deit-small'), head=dict(in_channels=384))
recipe = dict(epochs=200, warmup_epochs=20)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))
