"""The machine that a run has, and the versions it depends on.

Nothing here imports torch: functions look at it only when it is already loaded.
"""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

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


def hardware() -> dict[str, Any]:
    """Processor, cores that this process may use, GPUs and processes of the present job."""
    torch = sys.modules.get('torch')
    gpus = torch.cuda.device_count() if torch is not None and torch.cuda.is_available() else 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    return {
        'cpu': _cpu_name(),
        'cores': cores,
        'gpu': torch.cuda.get_device_name(0) if gpus else None,
        'gpus': gpus,
        'world_size': int(os.environ.get('WORLD_SIZE', 1)),
    }


def _cpu_name() -> str:
    try:
        for line in Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages a result depends on, as far as installed."""
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
