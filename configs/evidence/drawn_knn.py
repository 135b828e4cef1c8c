# k-NN; k chosen on held-out training images.
_base_ = ['../quickstart/knn.py', '../_base_/evidence_drawn.py']
run = dict(dataset='drawn')
model = dict(backbone={{_base_.evidence.vit}})
train_dataloader = {{_base_.evidence.data}}
val_dataloader = {{_base_.evidence.data}}
test_dataloader = val_dataloader
evaluation = dict(
    _delete_=True,
    pooling=['patch_mean', 'cls_token'],
    grid=dict(k=[10, 20, 100, 200]),
    held_out=0.1,
    temperature=0.07,
)
