"""Published pre-trainings, read in their authors' own files."""

from docs.recipes.published import TRAINING, WARMUP_START, Claim, PublishedRecipe

SYMMIM = PublishedRecipe(
    title='SymMIM pre-training',
    configs='symmim/vit_{size}_pretrain.py',
    fields=(
        'mask', 'decoder', 'reconstruction', 'positions', 'views', 'contrast_pooling', 'mlps',
        'temperature', 'symmetric', 'contrast_weight', 'ema', 'drop_path', 'crop', 'interpolation',
        *TRAINING, 'last_lr',
    ),
    claims=(
        Claim('SBL', 'summaries of the paper', dict(
            mask='checkerboards of 16 (online) and 32 pixels (momentum)',
        )),
        Claim('SBL', 'borrowed: SimMIM models/simmim.py', dict(
            decoder='one linear layer', reconstruction='L1',
        )),
        Claim('SBL', 'borrowed: MAE models_mae.py', dict(positions='fixed sine-cosine')),
        Claim('SBL', 'borrowed: MAE main_pretrain.py', dict(
            crop=(0.2, 1.0), interpolation='bicubic',
        )),
        Claim('SBL', 'borrowed: ConMIM datasets.py', dict(views='distorted')),
        Claim('SBL', 'borrowed: CMAE', dict(contrast_pooling='patch mean', contrast_weight=1.0)),
        Claim('SBL', 'borrowed: MoCo v3 moco/builder.py, main_moco.py', dict(
            mlps='3 and 2 layers, 4096 to 256, BN', temperature=0.2, symmetric=True,
            ema='0.99 to 1, cosine',
        )),
        Claim('S', 'borrowed: ConMIM readme', dict(length='300 epochs')),
        Claim('BL', 'borrowed: ConMIM readme', dict(length='800 epochs')),
        Claim('SBL', 'borrowed: ConMIM readme, its ViT-L', dict(
            batch=2048, peak_lr=7.5e-4, warmup='10 epochs', clip=1.0, drop_path=0.0,
        )),
        Claim('SBL', 'borrowed: ConMIM run_conmim_pretraining.py, optim_factory.py', dict(
            schedule='cosine', last_lr=1e-5, optimizer='AdamW', betas=(0.9, 0.98),
            weight_decay=0.05, warmup_start=0.0,
        )),
    ),
    differences={
        'symmetric': 'the summaries tell of one direction, and one crop is encoded',
        'warmup_start': WARMUP_START,
    },
    note='Of the paper no training setting is known; whatever it leaves open is borrowed. ConMIM '
    'published ViT-L at 800 and at 1600 epochs. Its distortion of the second view also blurs '
    '(p = .1) and solarises (p = .2).',
)  # fmt: skip

MAE = PublishedRecipe(
    title='MAE pre-training',
    configs='mae/vit_{size}_pretrain.py',
    fields=(
        'mask', 'decoder', 'reconstruction', 'drop_path', 'crop', 'interpolation', *TRAINING,
        'last_lr',
    ),
    claims=(
        Claim('BL', 'MAE PRETRAIN.md', dict(
            mask='random, 0.75 in 16-pixel squares', reconstruction='L2 on pixels normalised per '
            'patch', length='800 epochs', batch=4096, peak_lr=1.5e-4 * 4096 / 256,
            weight_decay=0.05, warmup='40 epochs',
        )),
        Claim('BL', 'MAE main_pretrain.py', dict(
            optimizer='AdamW', betas=(0.9, 0.95), last_lr=0.0, crop=(0.2, 1.0),
            interpolation='bicubic', undecayed=('biases', 'norms'), clip=None,
        )),
        Claim('BL', 'MAE models_mae.py', dict(
            decoder='8 blocks, 512 wide, 16 heads', drop_path=0.0,
        )),
        Claim('BL', 'MAE util/lr_sched.py', dict(schedule='cosine', warmup_start=0.0)),
    ),
    differences={
        'undecayed': "as MMPretrain's MAE; MAE decays its two tokens",
        'warmup_start': WARMUP_START,
    },
    note='MAE released weights of 1600 epochs; `--cfg-options recipe.epochs=1600`.',
)  # fmt: skip

SIMMIM = PublishedRecipe(
    title='SimMIM pre-training',
    configs='simmim/vit_{size}_pretrain.py',
    fields=('mask', 'decoder', 'reconstruction', 'drop_path', 'crop', 'interpolation', *TRAINING),
    claims=(
        Claim('B', 'SimMIM configs/vit_base__800ep', dict(
            mask='random, 0.6 in 32-pixel squares', drop_path=0.1, length='800 epochs',
            warmup='10 epochs', warmup_start=5e-7 / 1e-4, weight_decay=0.05,
            schedule='x 0.1 at epoch 700',
        )),
        Claim('B', 'SimMIM config.py', dict(optimizer='AdamW', betas=(0.9, 0.999), clip=5.0)),
        Claim('B', 'SimMIM main_simmim.py: 1e-4 x batch / 512', dict(peak_lr=1e-4 * 2048 / 512)),
        Claim('B', 'SimMIM data/data_simmim.py', dict(
            crop=(0.67, 1.0), interpolation='bilinear',
        )),
        Claim('B', 'SimMIM models/simmim.py', dict(
            decoder='one linear layer', reconstruction='L1',
        )),
        Claim('B', 'SimMIM optimizer.py', dict(
            undecayed=('biases', 'class token', 'norms'),
        )),
    ),
    differences={'undecayed': 'SimMIM exempts the mask token of its Swin, not that of its ViT'},
    note='SimMIM states 128 pictures per GPU but not how many GPUs: the batch of 2048 is ours. Its '
    'ViT has relative positions and layer scale (.1), ours has absolute positions.',
)  # fmt: skip
