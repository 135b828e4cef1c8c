# Linear classifier on the same frozen features.
_base_ = ['./knn.py']
run = dict(task='linear')
evaluation = dict(_delete_=True, pooling='patch_mean', weight_decay=1e-4)
