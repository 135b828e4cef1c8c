# The symmetric mask alone: no momentum encoder, no contrast.
_base_ = ['./vit_b_pretrain.py']
run = dict(method='symmim_masks')
model = dict(contrast_weight=0.0)
