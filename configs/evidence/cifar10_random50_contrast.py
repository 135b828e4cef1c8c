# Both losses with random masks: half of the single patches, and half of squares of 2 x 2.
_base_ = ['./cifar10_random50.py']
run = dict(method='random50_contrast')
model = dict(
    contrast_weight=0.1,
    momentum_mask=dict(_delete_=True, type='random', ratio=0.5, unit=2),
)
