# The literal reading of the paper's summaries: dense encoding, one linear layer, L1, weight 1.
_base_ = ['./cifar10_checkerboard.py']
run = dict(method='symmim_literal')
model = dict(
    backbone=dict(encoding='dense'),
    head=dict(loss='l1', norm_pix=False, decoder=None),
    contrast_weight=1.0,
)
