# SimMIM, ViT-B/16; the published recipe (SimMIM, configs/vit_base__800ep). Its files give 128
# images per GPU but not how many GPUs: 2048 is OpenMixup's (37e1372, configs/selfsup/simmim).
# SimMIM's ViT has relative positions, layer scale, no bias of the keys and weights rescaled by
# depth; here it is the plain ViT of the other methods. Its 83.8 % are of that ViT and of a
# fine-tuning of its own (5e-3 at batch 2048, 20 epochs of warm-up).
_base_ = [
    '../_base_/datasets/imagenet_pretrain.py',
    '../_base_/schedules/pretrain.py',
    '../_base_/runtime/pretrain.py',
]
run = dict(method='simmim', task='pretrain', dataset='imagenet-1k')

model = dict(
    type='symmim_mm.SimMIM',
    backbone=dict(
        type='symmim_mm.MaskedViT',
        arch='base',
        img_size=224,
        patch_size=16,
        drop_path_rate=0.1,
    ),
    head=dict(loss='l1'),
    mask=dict(type='random', ratio=0.6, unit=2),
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
)
recipe = dict(
    epochs=800,
    batch=2048,
    lr=1e-4,
    lr_batch=512,
    warmup_epochs=10,
    warmup_start=5e-3,
    schedule='step',
    milestones=[700],
)
optim_wrapper = dict(optimizer=dict(betas=(0.9, 0.999)), clip_grad=dict(max_norm=5.0))
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(
                type='symmim_mm.LoadRandomResizedCrop',
                scale=224,
                crop_ratio_range=(0.67, 1.0),
                interpolation='bilinear',
                flip_prob=0.5,
            ),
            dict(type='mmpretrain.PackInputs'),
        ]
    )
)
