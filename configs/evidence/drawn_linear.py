# Linear classifier on the features of the k-NN; weight decay chosen on held-out training images.
_base_ = ['./drawn_knn.py']
run = dict(task='linear')
evaluation = dict(
    _delete_=True,
    pooling=['patch_mean', 'cls_token'],
    grid=dict(weight_decay=[1e-5, 1e-4, 1e-3]),
    held_out=0.1,
)
