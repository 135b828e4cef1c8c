# Both losses: the paper's masks for both encoders.
_base_ = ['./drawn_checkerboard.py']
run = dict(method='checkerboard_contrast')
model = dict(contrast_weight=0.1)
