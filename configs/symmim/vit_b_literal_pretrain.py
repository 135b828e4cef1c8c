# SymMIM as the summaries of the paper read, the gaps filled from the simplest method at hand: mask
# tokens encoded with the others, one linear layer, plain pixels (SimMIM), full contrast (CMAE).
_base_ = ['./vit_b_pretrain.py']
run = dict(method='symmim_literal')
model = dict(
    backbone=dict(encoding='dense'),
    head=dict(loss='l1', norm_pix=False, decoder=None),
    contrast_weight=1.0,
)
