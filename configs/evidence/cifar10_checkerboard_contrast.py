# Both losses: the paper's masks for both encoders.
_base_ = ['./cifar10_checkerboard.py']
run = dict(method='checkerboard_contrast')
model = dict(contrast_weight=0.1)
