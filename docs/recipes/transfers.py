"""Published transfers, read in their authors' own files."""

from docs.recipes.published import TRAINING, WARMUP_START, Claim, PublishedRecipe

FINETUNE = PublishedRecipe(
    title='Fine-tuning on ImageNet-1K',
    configs='classification/vit_{size}_finetune_imagenet.py',
    fields=(
        'layer_decay', 'drop_path', 'rand_augment', 'mixup', 'cutmix', 'erasing', 'smoothing',
        'crop', 'pooling', 'head_std', *TRAINING, 'last_lr',
    ),
    claims=(
        Claim('B', 'MAE FINETUNE.md', dict(
            length='100 epochs', peak_lr=5e-4 * 1024 / 256, layer_decay=0.65, drop_path=0.1,
        )),
        Claim('L', 'MAE FINETUNE.md', dict(
            length='50 epochs', peak_lr=1e-3 * 1024 / 256, layer_decay=0.75, drop_path=0.2,
        )),
        Claim('BL', 'MAE FINETUNE.md', dict(
            batch=1024, weight_decay=0.05, mixup=0.8, cutmix=1.0, erasing=0.25,
            pooling='mean of the patches',
        )),
        Claim('BL', 'MAE main_finetune.py', dict(
            warmup='5 epochs', last_lr=1e-6, rand_augment=(9, 0.5), smoothing=0.1,
            head_std=2e-5, clip=None, optimizer='AdamW', betas=(0.9, 0.999),
        )),
        Claim('BL', 'MAE util/lr_sched.py', dict(schedule='cosine', warmup_start=0.0)),
        Claim('BL', 'MAE util/lr_decay.py', dict(
            undecayed=('biases', 'class token', 'norms', 'position embedding'),
        )),
        Claim('BL', 'MAE util/datasets.py (timm)', dict(crop=(0.08, 1.0))),
        Claim('S', 'iBOT evaluation/README.md', dict(
            length='200 epochs', drop_path=0.1, layer_decay=0.75,
        )),
        Claim('S', 'iBOT run.sh', dict(
            warmup='20 epochs', mixup=0.8, cutmix=1.0, pooling='class token',
        )),
        Claim('S', 'iBOT run_class_finetuning.py: 128 on each of 8 GPUs', dict(batch=1024)),
        Claim('S', 'iBOT run_class_finetuning.py', dict(
            last_lr=1e-6, weight_decay=0.05, rand_augment=(9, 0.5), erasing=0.25, smoothing=0.1,
            clip=None, schedule='cosine', warmup_start=0.0, optimizer='AdamW',
            betas=(0.9, 0.999), undecayed=('biases', 'class token', 'norms', 'position embedding'),
        )),
    ),
    differences={
        'pooling': "one head for all sizes: MAE's",
        'warmup_start': WARMUP_START,
    },
    note="iBOT sweeps its ViT-S's rate; ViT-B's of MAE is kept (ours).",
)  # fmt: skip

LINEAR = PublishedRecipe(
    title='Linear probe on ImageNet-1K',
    configs='classification/vit_{size}_linear_imagenet.py',
    fields=(
        'pooling', 'head_std', 'crop', 'interpolation', 'length', 'batch', 'peak_lr', 'schedule',
        'last_lr', 'warmup', 'warmup_start', 'optimizer', 'sgd_momentum', 'weight_decay', 'clip',
    ),
    claims=(
        Claim('B', 'MAE FINETUNE.md', dict(length='90 epochs')),
        Claim('L', 'MAE FINETUNE.md', dict(length='50 epochs')),
        Claim('BL', 'MAE FINETUNE.md', dict(
            batch=16384, peak_lr=0.1 * 16384 / 256, weight_decay=0.0, pooling='class token',
        )),
        Claim('BL', 'MAE main_linprobe.py', dict(
            warmup='10 epochs', last_lr=0.0, optimizer='LARS', head_std=0.01, crop=(0.08, 1.0),
            interpolation='bicubic', clip=None,
        )),
        Claim('BL', 'MAE util/lars.py', dict(sgd_momentum=0.9)),
        Claim('BL', 'MAE util/lr_sched.py', dict(schedule='cosine', warmup_start=0.0)),
    ),
    differences={'warmup_start': WARMUP_START},
    note='A BatchNorm without scale stands before the linear layer, as in MAE.',
)  # fmt: skip

KNN = PublishedRecipe(
    title='k-NN on ImageNet-1K',
    configs='classification/vit_{size}_knn_imagenet.py',
    fields=('pooling', 'neighbours', 'knn_temperature'),
    claims=(
        Claim('SBL', 'iBOT evaluation/eval_knn.py, one of 10, 20, 100, 200', dict(neighbours=20)),
        Claim('SBL', 'iBOT evaluation/eval_knn.py', dict(
            knn_temperature=0.07, pooling='class token',
        )),
    ),
    differences={'pooling': 'reconstruction trains the patch tokens, not the class token'},
)  # fmt: skip

UPERNET = PublishedRecipe(
    title='UperNet on ADE20K',
    configs='segmentation/upernet_vit_{size}_160k_ade20k.py',
    fields=(
        'training_size', 'taps', 'tap_norm', 'head_channels', 'auxiliary', 'test_stride',
        'layer_decay', 'drop_path', *TRAINING, 'last_lr',
    ),
    claims=(
        Claim('S', 'iBOT upernet/vit_small_512_ade20k_160k.py', dict(
            peak_lr=3e-5, layer_decay=0.9, drop_path=0.1, taps=(3, 5, 7, 11), head_channels=384,
        )),
        Claim('S', 'iBOT evaluation/README.md', dict(tap_norm=True, batch=16)),
        Claim('B', 'MMSegmentation mae-base_upernet; CAE upernet_cae_base_..._1e-4.py', dict(
            peak_lr=1e-4, layer_decay=0.65, drop_path=0.1, taps=(3, 5, 7, 11), head_channels=768,
            tap_norm=False, batch=16,
        )),
        Claim('L', 'iBOT upernet/vit_large_512_ade20k_160k.py', dict(
            peak_lr=2e-5, layer_decay=0.95, drop_path=0.2, taps=(7, 11, 15, 23),
            head_channels=1024, tap_norm=False, batch=16,
        )),
        Claim('SBL', 'the same files', dict(
            length='160000 iterations', schedule='linear', last_lr=0.0, warmup='1500 iterations',
            warmup_start=1e-6, optimizer='AdamW', betas=(0.9, 0.999), weight_decay=0.05,
            auxiliary=0.4, test_stride=341, training_size='512 x 512, scaled 0.5 to 2', clip=None,
        )),
        Claim('SBL', "their layer_decay_optimizer_constructor.py", dict(
            undecayed=('biases', 'norms'),
        )),
    ),
    differences={
        'tap_norm': 'one head for all sizes; the pre-training checkpoint holds one final norm',
        'undecayed': "the others' code looks for `cls_token` and `pos_embed` where the names are "
        '`backbone.cls_token` and `backbone.pos_embed`, and so decays them against its intent',
    },
    note='Under mmcv 1.x (iBOT, CAE) the linear fall begins at iteration 0 and the warm-up acts on '
    'top of it; in MMSegmentation and here it begins after the warm-up: at most 0.94 % of the peak '
    'apart. CAE-L publishes 4e-5, layer decay .95, drop path .15.',
)  # fmt: skip

VITDET = PublishedRecipe(
    title='Mask R-CNN on COCO, 100 epochs',
    configs='detection/mask-rcnn_vit_{size}_100ep_coco.py',
    fields=(
        'training_size', 'windows', 'class_token', 'relative_positions', 'pyramid', 'rpn_convs',
        'proposals', 'box_layers', 'box_norm', 'box_loss', 'layer_decay', 'drop_path', *TRAINING,
    ),
    claims=(
        Claim('B', 'detectron2 mask_rcnn_vitdet_b_100ep.py', dict(layer_decay=0.7)),
        Claim('B', 'detectron2 common/models/mask_rcnn_vitdet.py', dict(drop_path=0.1)),
        Claim('L', 'detectron2 mask_rcnn_vitdet_l_100ep.py', dict(layer_decay=0.8, drop_path=0.4)),
        Claim('BL', 'detectron2 mask_rcnn_vitdet_b_100ep.py', dict(
            length='184375 iterations', schedule='x 0.1 at iteration 163889, 177546',
            warmup='250 iterations', warmup_start=0.001,
        )),
        Claim('BL', 'detectron2 coco_loader_lsj.py', dict(
            batch=64, training_size='1024 x 1024, scaled 0.1 to 2',
        )),
        Claim('BL', 'detectron2 common/optim.py', dict(
            optimizer='AdamW', peak_lr=1e-4, betas=(0.9, 0.999), weight_decay=0.1,
            undecayed=('norms', 'position embedding'), clip=None,
        )),
        Claim('BL', 'detectron2 common/models/mask_rcnn_vitdet.py', dict(
            windows='14 x 14, 4 global blocks', class_token=False, relative_positions=True,
            pyramid='SimpleFeaturePyramid', rpn_convs=2, box_layers='4 convolutions, 1 linear',
            box_norm='LN',
        )),
        Claim('BL', 'detectron2 common/models/mask_rcnn_fpn.py', dict(
            proposals=1000, box_loss='L1',
        )),
    ),
    differences={
        'windows': '16 divides the grid of 64 x 64 patches; 14 needs padding',
        'class_token': 'every parameter of the pre-training checkpoint is used',
        'relative_positions': 'every parameter of the pre-training checkpoint is used, no other',
        'undecayed': 'ViTDet has no class token',
    },
)  # fmt: skip

MASK_RCNN_1X = PublishedRecipe(
    title='Mask R-CNN on COCO, 1x',
    configs='detection/mask-rcnn_vit_{size}_1x_coco.py',
    fields=(
        'training_size', 'windows', 'pyramid', 'rpn_convs', 'proposals', 'box_layers', 'box_norm',
        'box_loss', 'layer_decay', 'drop_path', *TRAINING,
    ),
    claims=(
        Claim('B', 'CAE vit_base_giou_4conv1f_coco_maskrcnn_1x', dict(
            peak_lr=3e-4, layer_decay=0.75, drop_path=0.2,
        )),
        Claim('L', 'CAE vit_large_giou_4conv1f_coco_maskrcnn_1x', dict(
            peak_lr=2e-4, layer_decay=0.85, drop_path=0.2,
        )),
        Claim('BL', 'the same files', dict(
            length='12 epochs', schedule='x 0.1 at epoch 9, 11', optimizer='AdamW',
            betas=(0.9, 0.999), weight_decay=0.05, clip=None, box_loss='GIoU', box_norm='SyncBN',
            box_layers='4 convolutions, 1 linear',
            training_size='short side 480 to 800, half of the pictures cropped before',
        )),
        Claim('BL', 'CAE downstream_tasks/detection/README.md: 2 on each of 16 GPUs', dict(
            batch=32,
        )),
        Claim('BL', 'CAE schedule_1x.py', dict(warmup='500 iterations', warmup_start=0.001)),
        Claim('BL', 'CAE mask_rcnn_vit_fpn.py', dict(
            pyramid='FPN on four taps', rpn_convs=1, proposals=2000, windows='none',
        )),
        Claim('BL', 'CAE layer_decay_optimizer_constructor.py', dict(
            undecayed=('biases', 'norms'),
        )),
    ),
    differences={
        key: "one model for both recipes: that of the 100 epochs, after ViTDet's"
        for key in ('pyramid', 'rpn_convs', 'proposals', 'box_norm', 'box_loss')
    } | {
        'training_size': 'the plain multi-scale training of most 1x recipes',
        'undecayed': "CAE's code looks for `cls_token` and `pos_embed` where the names begin with "
        '`backbone.`, and so decays them against its intent',
    },
)  # fmt: skip
