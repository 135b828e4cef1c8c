# Both losses; the momentum encoder sees the whole image.
_base_ = ['./cifar10_checkerboard_contrast.py']
run = dict(method='checkerboard_contrast_whole')
model = dict(momentum_mask=None)
