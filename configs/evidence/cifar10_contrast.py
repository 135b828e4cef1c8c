# Contrast alone, of the same masked views.
_base_ = ['./cifar10_checkerboard_contrast.py']
run = dict(method='contrast')
model = dict(mim_weight=0.0)
