# SymMIM, ViT-B/16. What the paper leaves open is borrowed, or settled by runs of ours: each setting
# names where from. "Settled": docs/evidence.md, condition checkerboard_contrast against
# symmim_literal, on small images; vit_b_literal_pretrain.py has what it was settled against.
_base_ = [
    '../_base_/datasets/imagenet_pretrain.py',
    '../_base_/schedules/pretrain.py',
    '../_base_/runtime/pretrain.py',
]
run = dict(method='symmim', task='pretrain', dataset='imagenet-1k')

model = dict(
    type='symmim_mm.SymMIM',
    backbone=dict(
        type='symmim_mm.MaskedViT',
        arch='base',
        img_size=224,
        patch_size=16,
        encoding='sparse',  # settled: visible patches only (MAE)
        learnable_pos_embed=False,  # MAE
    ),
    # Settled: MAE's decoder and target, with two blocks for MAE's eight.
    head=dict(loss='l2', norm_pix=True, decoder=dict(depth=2, embed_dims=512, num_heads=16)),
    # Block sizes: paper (32-pixel squares for the momentum encoder). Parity: ours, random
    # inversion per image, one draw for both masks.
    online_mask=dict(type='checkerboard', block=1, parity='shared', shift=False),
    momentum_mask=dict(type='checkerboard', block=2, parity='shared', shift=False),
    mim_weight=1.0,
    contrast=dict(
        # MoCo v3's README, down to the temperature (1 and a constant EMA in its code's defaults).
        hidden_dims=4096,
        out_dims=256,
        projector_layers=3,
        predictor_layers=2,
        norm='bn',
        temperature=0.2,
        pooling='patch_mean',  # CMAE
    ),
    contrast_weight=0.1,  # settled
    symmetric_loss=False,
    momentum=dict(start=0.99, end=1.0, schedule='cosine'),  # MoCo v3
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        views='distorted',  # ConMIM: one crop, the momentum encoder sees it color-distorted
    ),
)
default_hooks = dict(momentum=dict(type='symmim_mm.MomentumUpdateHook'))
sync_bn = 'torch'
