# Attentive probe on ImageNet-1K after CAE (scripts/cae_base_800e.sh): one learned query attends to
# the patch tokens of the frozen encoder after the final norm; a BatchNorm without scale, one linear
# layer, SGD. Data and head are those of the linear probe.
_base_ = ['./vit_b_linear_imagenet.py']
run = dict(task='attentive')
model = dict(
    neck=dict(_delete_=True, type='symmim_mm.AttentiveFeatures', in_channels=768, num_heads=12)
)
recipe = dict(batch=8192, lr=0.4, lr_batch=8192, min_lr=1e-6, max_batch_per_gpu=1024)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', momentum=0.9, weight_decay=0.0),
)
