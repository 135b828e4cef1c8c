# Half of the patches masked at random, without contrast.
_base_ = ['./cifar10_checkerboard.py']
run = dict(method='random50')
model = dict(online_mask=dict(_delete_=True, type='random', ratio=0.5))
