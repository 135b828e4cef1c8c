_base_ = ['./cifar10_random50.py']
run = dict(method='random75')
model = dict(online_mask=dict(ratio=0.75))
