# k-NN on frozen features after the final norm: the mean of the patch tokens, and the class token as
# a column of its own; k chosen on held-out training images.
_base_ = ['../real/cifar10_knn.py']
evaluation = dict(
    _delete_=True,
    pooling=['patch_mean', 'cls_token'],
    grid=dict(k=[10, 20, 100, 200]),
    held_out=0.04,
    temperature=0.07,
)
