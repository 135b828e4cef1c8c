"""Safe replacement of MMEngine's checkpoint loaders, in effect once this module is imported.

MMEngine, and with it MMPretrain, MMDetection and MMSegmentation, asks ``CheckpointLoader`` for the
loader of a path: for ``load_from``, ``--resume`` and ``init_cfg=dict(type='Pretrained', ...)``. Its
own loaders fall back to unpickling that runs code, and fetch files from the network. The packages
of our models, hooks and evaluations import this module.
"""

import os
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from symmim_mm.checkpoint.read import read_checkpoint

# '' matches any path; MMEngine would fetch files for the others.
PREFIXES = (
    '', 'http://', 'https://', 'pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://', 'modelzoo://',
    'torchvision://', 'open-mmlab://', 'openmmlab://', 'mmcls://',
)  # fmt: skip


@CheckpointLoader.register_scheme(prefixes=PREFIXES, force=True)
def load_from_file(filename: str, map_location: Any = None, **_: Any) -> dict:
    """Read a checkpoint file as :func:`symmim_mm.checkpoint.read.read_checkpoint` does.

    ``meta['config']`` is left out: ``Runner.resume`` would run that string as a program.

    Raises:
        UserError: as ``read_checkpoint``; every URL, as nothing is fetched.
    """
    checkpoint = read_checkpoint(os.path.expanduser(filename), map_location or 'cpu')
    if isinstance(checkpoint.get('meta'), dict):
        checkpoint['meta'].pop('config', None)
    return checkpoint
