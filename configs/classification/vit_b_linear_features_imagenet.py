# Logistic regression on the features of the k-NN, which are encoded once for both: the mean of the
# patch tokens, the class token, and whichever is better on held-out training images, as is the
# weight decay. The problem is convex: there is no learning rate to choose.
_base_ = ['./vit_b_knn_imagenet.py']
run = dict(task='linear')
evaluation = dict(
    _delete_=True,
    pooling=['patch_mean', 'cls_token'],
    grid=dict(weight_decay=[1e-6, 1e-5, 1e-4, 1e-3]),
    held_out=0.02,
)
