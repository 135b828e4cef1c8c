"""SymMIM, MAE and SimMIM pre-training and their transfers on MMEngine.

The functions of the Python API are imported when they are first used: importing this package
imports neither torch nor MMEngine.
"""

from importlib import import_module

from symmim_mm.compat import install

__version__ = '0.1.0'

# Function of the API: the module it comes from.
_API = {
    'pretrain': 'symmim_mm.apis.own_data.pretrain',
    'finetune': 'symmim_mm.apis.own_data.finetune',
    'detect': 'symmim_mm.apis.own_data.detect',
    'segment': 'symmim_mm.apis.own_data.segment',
    'train': 'symmim_mm.apis.train',
    'load': 'symmim_mm.apis.predict',
    'predict': 'symmim_mm.apis.predict',
    'embed': 'symmim_mm.apis.embed',
    'load_backbone': 'symmim_mm.checkpoint.backbone',
    'export_backbone': 'symmim_mm.checkpoint.export',
    'evaluate_features': 'symmim_mm.apis.evaluate',
    'visualize': 'symmim_mm.apis.visualize',
    'run_suite': 'symmim_mm.suite.run_suite',
    'collect': 'symmim_mm.results.collect',
}


def __getattr__(name: str) -> object:
    """Import a function of the API (PEP 562)."""
    if name not in _API:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(_API[name]), name)


def __dir__() -> list[str]:
    """List the API for completion and ``help``."""
    return sorted([*globals(), *_API])


install()
