# MAE, ViT-B/16, on MMPretrain's own classes; the published recipe (MAE, PRETRAIN.md).
_base_ = [
    '../_base_/datasets/imagenet_pretrain.py',
    '../_base_/schedules/pretrain.py',
    '../_base_/runtime/pretrain.py',
]
run = dict(method='mae', task='pretrain', dataset='imagenet-1k')

model = dict(
    type='mmpretrain.MAE',
    backbone=dict(
        type='mmpretrain.MAEViT', arch='base', img_size=224, patch_size=16, mask_ratio=0.75
    ),
    neck=dict(
        type='mmpretrain.MAEPretrainDecoder',
        num_patches=196,
        patch_size=16,
        embed_dim=768,
        decoder_embed_dim=512,
        decoder_depth=8,
        decoder_num_heads=16,
    ),
    head=dict(
        type='mmpretrain.MAEPretrainHead',
        norm_pix=True,
        patch_size=16,
        loss=dict(type='mmpretrain.PixelReconstructionLoss', criterion='L2'),
    ),
    init_cfg=[
        dict(type='Xavier', layer='Linear', distribution='uniform'),
        dict(type='Constant', layer='LayerNorm', val=1.0, bias=0.0),
    ],
    data_preprocessor=dict(
        type='symmim_mm.ViewPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
)
recipe = dict(epochs=800, batch=4096, lr=1.5e-4, lr_batch=256, warmup_epochs=40, min_lr=0.0)
optim_wrapper = dict(optimizer=dict(betas=(0.9, 0.95)), clip_grad=None)
