"""The machine of a run, and the versions of the packages it depends on.

Nothing here imports torch: functions look at it only when it is already loaded.
"""

import os
import platform
import re
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from symmim_mm.results.record import Hardware
from symmim_mm.utils.host import available_cores

_DISTRIBUTIONS = {
    'torch': ('torch',),
    'torchvision': ('torchvision',),
    'numpy': ('numpy',),
    'mmengine': ('onedl-mmengine', 'mmengine'),
    'mmcv': ('onedl-mmcv', 'mmcv'),
    'mmpretrain': ('onedl-mmpretrain', 'mmpretrain'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
}


def hardware() -> Hardware:
    """Return the processor, the cores that this process may use, GPUs and processes of the job."""
    torch = sys.modules.get('torch')
    gpus = torch.cuda.device_count() if torch is not None and torch.cuda.is_available() else 0
    return Hardware(
        cpu=_cpu_name(),
        cores=available_cores(),
        gpu=torch.cuda.get_device_name(0) if torch is not None and gpus else None,
        gpus=gpus,
        world_size=int(os.environ.get('WORLD_SIZE', 1)),
    )


def _cpu_name() -> str:
    file = Path('/proc/cpuinfo')
    found = re.search(r'^model name\s*:(.*)$', file.read_text() if file.is_file() else '', re.M)
    return found[1].strip() if found else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages a result depends on, where installed."""
    from symmim_mm import __version__

    found = {'python': platform.python_version(), 'symmim_mm': __version__}
    for name, candidates in _DISTRIBUTIONS.items():
        for candidate in candidates:
            with suppress(metadata.PackageNotFoundError):
                found.setdefault(name, metadata.version(candidate))
    return found
