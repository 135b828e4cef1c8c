"""Learning rates of the methods' own code, as formulas: the share of the peak after ``done`` steps.

``BY_EPOCH`` has the formula of each config, of micro-batch and epoch length; ``PEAKS`` its peak.
"""

import math
from bisect import bisect_right
from collections.abc import Callable


def half_cosine(epoch: float, epochs: int, warmup: float, last: float = 0.0) -> float:
    """MAE ``util/lr_sched.py``, MoCo v3 ``main_moco.py``; ``last`` as a share of the peak."""
    if epoch < warmup:
        return epoch / warmup
    share = 0.5 * (1.0 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup)))
    return last + (1.0 - last) * share


def warmed_up_steps(done: int, warmup: int, start: float, milestones: list[int]) -> float:
    """SimMIM ``lr_scheduler.py`` (MultiStepLRScheduler); detectron2 ``WarmupParamScheduler`` over
    fvcore's ``MultiStepParamScheduler``; the step policy of mmcv 1.x. All fall to a tenth."""
    if done < warmup:
        return start + (1.0 - start) * done / warmup
    return 0.1 ** bisect_right(milestones, done)


def linear_to_zero(done: int, warmup: int, total: int) -> float:
    """MMSegmentation's MAE config: ``LinearLR`` over 1500, then ``PolyLR`` of power 1."""
    return done / warmup if done < warmup else 1.0 - (done - warmup) / (total - warmup)


def cosine(epochs: int, warmup: int, last: float = 0.0) -> Callable[[int, int], float]:
    return lambda i, length: half_cosine(i / length, epochs, warmup, last)


BY_EPOCH = {
    # WARMUP_LR is 5e-7 and scaled as the rate of 1e-4 is.
    'simmim/vit_b_pretrain.py': lambda i, n: warmed_up_steps(i, 10 * n, 5e-3, [700 * n]),
    'mae/vit_s_pretrain.py': cosine(800, 40),
    'mae/vit_b_pretrain.py': cosine(800, 40),
    'mae/vit_l_pretrain.py': cosine(800, 40),
    'common_budget/symmim_vit_b_pretrain.py': cosine(300, 40),
    # ConMIM's: 7.5e-4 down to 1e-5.
    'symmim/vit_s_pretrain.py': cosine(300, 10, 1e-5 / 7.5e-4),
    'symmim/vit_l_pretrain.py': cosine(800, 10, 1e-5 / 7.5e-4),
    # MAE FINETUNE.md: 5e-4 or 1e-3 x 1024 / 256, down to 1e-6.
    'classification/vit_b_finetune_imagenet.py': cosine(100, 5, 1e-6 / 2e-3),
    'classification/vit_l_finetune_imagenet.py': cosine(50, 5, 1e-6 / 4e-3),
    'classification/vit_s_finetune_imagenet.py': cosine(200, 20, 1e-6 / 2e-3),
    # MAE, A.2, table 11: 1e-4 x 4096 / 256, down to MMPretrain's 1e-5.
    'classification/vit_b_scratch_imagenet.py': cosine(300, 20, 1e-5 / 1.6e-3),
    'classification/vit_l_scratch_imagenet.py': cosine(200, 20, 1e-5 / 1.6e-3),
    'classification/vit_b_linear_imagenet.py': cosine(90, 10),
    'classification/vit_l_linear_imagenet.py': cosine(50, 10),
}
PEAKS = {
    'mae/vit_b_pretrain.py': 1.5e-4 * 4096 / 256,
    'symmim/vit_l_pretrain.py': 7.5e-4,
    'simmim/vit_b_pretrain.py': 1e-4 * 2048 / 512,
    'classification/vit_b_finetune_imagenet.py': 5e-4 * 1024 / 256,
    'classification/vit_l_finetune_imagenet.py': 1e-3 * 1024 / 256,
    'classification/vit_b_scratch_imagenet.py': 1e-4 * 4096 / 256,
    'classification/vit_b_linear_imagenet.py': 0.1 * 16384 / 256,
    'detection/mask-rcnn_vit_b_100ep_coco.py': 1e-4,
    'detection/mask-rcnn_vit_b_1x_coco.py': 3e-4,
    'segmentation/upernet_vit_b_160k_ade20k.py': 1e-4,
    'segmentation/upernet_vit_s_160k_ade20k.py': 3e-5,
}
