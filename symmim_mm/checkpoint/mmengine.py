"""How MMEngine, and with it MMPretrain, MMDetection and MMSegmentation, reads checkpoints here.

All of them ask ``CheckpointLoader`` for the loader of a path: for ``load_from``, ``--resume`` and
``init_cfg=dict(type='Pretrained', ...)``. MMEngine's own loaders fall back to unpickling that runs
code, and fetch files from the network. Importing this module puts ours in their places; the
packages that hold our models, hooks and evaluations import it.
"""

import os
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from symmim_mm.checkpoint.read import read_checkpoint

# '' is any path; the others are what MMEngine knows how to fetch.
PREFIXES = (
    '', 'http://', 'https://', 'pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://', 'modelzoo://',
    'torchvision://', 'open-mmlab://', 'openmmlab://', 'mmcls://',
)  # fmt: skip


@CheckpointLoader.register_scheme(prefixes=PREFIXES, force=True)
def load_from_file(filename: str, map_location: Any = None, **_: Any) -> dict:
    """Read a checkpoint file as :func:`symmim_mm.checkpoint.read.read_checkpoint` does.

    ``meta['config']`` is left out: ``Runner.resume`` would run that text as a program.

    Raises:
        UserError: as ``read_checkpoint``; also for every address, as nothing is fetched.
    """
    checkpoint = read_checkpoint(os.path.expanduser(filename), map_location or 'cpu')
    if isinstance(checkpoint.get('meta'), dict):
        checkpoint['meta'].pop('config', None)
    return checkpoint
