"""Registries of this project: children of MMEngine's, in the scope ``symmim_mm``.

A config names our types with the scope written out (``type='symmim_mm.SymMIM'``), whatever its
``default_scope`` is. MMEngine imports this module when it first meets the scope; the modules
that hold the types are imported only when a type is looked up (``locations``).
"""

from mmengine import registry as root
from mmengine.registry import Registry

SCOPE = 'symmim_mm'


def _child(parent: Registry, *modules: str) -> Registry:
    """Return a registry below one of MMEngine's, for the types of some modules of this package."""
    locations = [f'symmim_mm.{module}' for module in modules]
    return Registry(parent.name, parent=parent, scope=SCOPE, locations=locations)


MODELS = _child(root.MODELS, 'models')
DATASETS = _child(root.DATASETS, 'datasets.image_folder')
TRANSFORMS = _child(root.TRANSFORMS, 'datasets.transforms.loading', 'datasets.transforms.crops')
DATA_SAMPLERS = _child(root.DATA_SAMPLERS, 'datasets.samplers.shard_sampler')
HOOKS = _child(root.HOOKS, 'engine.hooks', 'evaluation.knn_hook')
LOOPS = _child(root.LOOPS, 'engine.runner.loops')
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, 'engine.optim.guarded_wrapper')
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS, 'engine.optim.layer_decay')
STRATEGIES = _child(root.STRATEGIES, 'engine.runner.fsdp')
METRICS = _child(root.METRICS, 'evaluation.held_out_accuracy')
