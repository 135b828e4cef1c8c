"""Registries of this project: children of MMEngine's, in the scope ``symmim_mm``.

A config names our types with the scope written out (``type='symmim_mm.SymMIM'``), whatever its
``default_scope`` is. MMEngine imports this module when it first meets the scope; the modules
that hold the types are imported only when a type is looked up (``locations``).
"""

from mmengine import registry as root
from mmengine.registry import Registry

SCOPE = 'symmim_mm'

STRATEGIES = Registry(
    'strategy', parent=root.STRATEGIES, scope=SCOPE, locations=['symmim_mm.engine.runner.fsdp']
)
MODELS = Registry('model', parent=root.MODELS, scope=SCOPE, locations=['symmim_mm.models'])
DATASETS = Registry(
    'dataset', parent=root.DATASETS, scope=SCOPE, locations=['symmim_mm.datasets.image_folder']
)
TRANSFORMS = Registry(
    'transform',
    parent=root.TRANSFORMS,
    scope=SCOPE,
    locations=[
        'symmim_mm.datasets.transforms.loading',
        'symmim_mm.datasets.transforms.load_random_resized_crop',
        'symmim_mm.datasets.transforms.load_center_crop',
    ],
)
DATA_SAMPLERS = Registry(
    'data sampler',
    parent=root.DATA_SAMPLERS,
    scope=SCOPE,
    locations=['symmim_mm.datasets.samplers.shard_sampler'],
)
HOOKS = Registry(
    'hook',
    parent=root.HOOKS,
    scope=SCOPE,
    locations=['symmim_mm.engine.hooks', 'symmim_mm.evaluation.knn_hook'],
)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=root.OPTIM_WRAPPER_CONSTRUCTORS,
    scope=SCOPE,
    locations=['symmim_mm.engine.optim.layer_decay'],
)
OPTIM_WRAPPERS = Registry(
    'optimizer wrapper',
    parent=root.OPTIM_WRAPPERS,
    scope=SCOPE,
    locations=['symmim_mm.engine.optim.guarded_wrapper'],
)
LOOPS = Registry(
    'loop', parent=root.LOOPS, scope=SCOPE, locations=['symmim_mm.engine.runner.loops']
)
METRICS = Registry(
    'metric',
    parent=root.METRICS,
    scope=SCOPE,
    locations=['symmim_mm.evaluation.held_out_accuracy'],
)
