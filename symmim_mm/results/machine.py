"""The machine of a run, and the versions of the packages it depends on.

Nothing here imports torch: functions look at it only when it is already loaded.
"""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

from symmim_mm.results.record import Hardware

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
        cores=len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count(),
        gpu=torch.cuda.get_device_name(0) if torch is not None and gpus else None,
        gpus=gpus,
        world_size=int(os.environ.get('WORLD_SIZE', 1)),
    )


def _cpu_name() -> str:
    try:
        for line in Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages a result depends on, where installed."""
    from symmim_mm import __version__

    found = {'python': platform.python_version(), 'symmim_mm': __version__}
    for name, candidates in _DISTRIBUTIONS.items():
        for candidate in candidates:
            try:
                found[name] = metadata.version(candidate)
                break
            except metadata.PackageNotFoundError:
                continue
    return found
