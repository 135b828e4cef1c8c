"""MMEngine's checkpoint loaders, and with them those of MMPretrain, MMDetection, MMSegmentation.

All of them ask ``CheckpointLoader`` for the loader of a path: for ``load_from``, ``--resume`` and
``init_cfg=dict(type='Pretrained', ...)``. MMEngine's own loaders fall back to unpickling that runs
code, and download files.
"""

import os
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.utils.errors import UserError

# '' matches any path; MMEngine would fetch files for the others.
PREFIXES = (
    '', 'http://', 'https://', 'pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://', 'modelzoo://',
    'torchvision://', 'open-mmlab://', 'openmmlab://', 'mmcls://',
)  # fmt: skip


def use_safe_loaders() -> None:
    """Let MMEngine read every checkpoint of this process with :func:`load_from_file`.

    The commands and the functions of ``symmim_mm.apis`` call this. Importing models or hooks does
    not: a project that only borrows them keeps MMEngine's loaders.
    """
    CheckpointLoader.register_scheme(prefixes=PREFIXES, loader=load_from_file, force=True)


def check_init_cfg(model: nn.Module) -> None:
    """Refuse an ``init_cfg`` whose file has no tensor of its module: MMEngine would only warn.

    Raises:
        UserError: there is one, or a file cannot be read.
    """
    for name, module in model.named_modules():
        settings = getattr(module, 'init_cfg', None) or []
        for init in settings if isinstance(settings, list) else [settings]:
            if init.get('type') != 'Pretrained':
                continue
            state = load_from_file(init['checkpoint'])
            state = state.get('state_dict', state)
            # As MMEngine takes names: those below a prefix, or without one also a wrapper's.
            prefix = init.get('prefix')
            start = 'module.' if prefix is None else f'{prefix.removesuffix(".")}.'
            names = {
                key.removeprefix(start)
                for key in (state if isinstance(state, dict) else ())
                if isinstance(key, str) and (prefix is None or key.startswith(start))
            }
            if names.isdisjoint(module.state_dict()):
                raise UserError(
                    f'init_cfg of model.{name}: {init["checkpoint"]} has no tensor of it: weights '
                    'of another library are loaded with --backbone'
                )


def load_from_file(filename: str, map_location: Any = None, **_: object) -> dict:
    """Read a checkpoint file as :func:`symmim_mm.checkpoint.read.read_checkpoint` does.

    ``meta['config']`` is left out: ``Runner.resume`` would run that string as a program.

    Raises:
        UserError: as ``read_checkpoint``; also for every address, as nothing is downloaded.
    """
    checkpoint = read_checkpoint(os.path.expanduser(filename), map_location or 'cpu')
    if isinstance(checkpoint.get('meta'), dict):
        checkpoint['meta'].pop('config', None)
    return checkpoint
