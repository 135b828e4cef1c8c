_base_ = ['./cifar10_random50.py']
run = dict(method='random90')
model = dict(online_mask=dict(ratio=0.90))
