"""The quickstart suite on a handful of images, with an epoch or four steps a run."""

import json
from pathlib import Path

from quickstart import write_config


def write_small_suite(folder: Path) -> Path:
    """A suite file of a pre-training and all transfers, with its configs, below ``folder``.

    Its work directory is ``folder / 'work'``.
    """
    data = folder / 'work' / 'data'
    iterations = 'recipe = dict(iterations=4, warmup_iterations=0)\n'
    iterations += 'train_cfg = dict(val_interval=4)\n'
    iterations += 'default_hooks = dict(checkpoint=dict(interval=4))'
    configs = {
        'symmim_pretrain': 'recipe = dict(epochs=1, batch=8, warmup_epochs=0)',
        'finetune': 'recipe = dict(epochs=1, batch=8, warmup_epochs=0)\n'
        'train_cfg = dict(val_interval=1)',
        'knn': '',
        'linear': '',
        'mask_rcnn': iterations,
        'upernet': iterations,
    }
    paths = {name: write_config(folder, name, data, text) for name, text in configs.items()}
    suite = folder / 'small.json'  # JSON is YAML
    suite.write_text(
        json.dumps(
            dict(
                name='small',
                data=dict(
                    generator=['sample-data', str(data), '--train', '40', '--val',
                               '20', '--coco-train', '16', '--coco-val', '4', '--ade-train', '16',
                               '--ade-val', '4']
                ),
                methods=dict(symmim=paths['symmim_pretrain']),
                transfers=dict(
                    finetune=paths['finetune'], knn=paths['knn'], linear=paths['linear'],
                    detection=paths['mask_rcnn'], segmentation=paths['upernet'],
                ),
            )
        )
    )  # fmt: skip
    return suite
