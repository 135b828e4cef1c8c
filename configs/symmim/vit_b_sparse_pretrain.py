# SymMIM that encodes visible patches only, with MAE's kind of decoder, small: a cheaper step.
_base_ = ['./vit_b_pretrain.py']
model = dict(
    backbone=dict(encoding='sparse'),
    head=dict(decoder=dict(_delete_=True, depth=2, embed_dims=512, num_heads=16)),
)
