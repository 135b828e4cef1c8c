"""The machine of a run, and the versions of the packages it depends on."""

import platform
import re
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from symmim_mm.results.record import Hardware
from symmim_mm.utils.host import available_cores

_DISTRIBUTIONS = {
    'torch': 'torch',
    'torchvision': 'torchvision',
    'numpy': 'numpy',
    'mmengine': 'onedl-mmengine',
    'mmcv': 'onedl-mmcv',
    'mmpretrain': 'onedl-mmpretrain',
    'mmdet': 'onedl-mmdetection',
    'mmseg': 'onedl-mmsegmentation',
}


def hardware() -> Hardware:
    """Return the processor, the cores that this process may use, GPUs and processes of the job."""
    import torch
    from mmengine.dist import get_world_size

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return Hardware(
        cpu=_cpu_name(),
        cores=available_cores(),
        gpu=torch.cuda.get_device_name(0) if gpus else None,
        gpus=gpus,
        world_size=get_world_size(),
    )


def _cpu_name() -> str:
    file = Path('/proc/cpuinfo')
    found = re.search(r'^model name\s*:(.*)$', file.read_text() if file.is_file() else '', re.M)
    return found[1].strip() if found else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages a result depends on, where installed."""
    from symmim_mm import __version__

    found = {'python': platform.python_version(), 'symmim_mm': __version__}
    for name, distribution in _DISTRIBUTIONS.items():
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(distribution)
    return found
