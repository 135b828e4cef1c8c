"""Parts of mmpretrain that are switched off: what breaks its import, and what delays it.

mmpretrain imports its multimodal models wherever transformers is installed in 4.28 or later, and
ends in a ``TypeError`` with transformers 5. Here they are imported only with the releases that its
extra ``multimodal`` asks for. transformers itself stays visible to everyone.

For one layer of its ResNet detectors it imports all of mmdet, a quarter of the start of every
pre-training. Here ``ResLayerExtraNorm`` is what it is for mmpretrain where mmdet is not installed,
unless mmdet's models were imported before.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

_SWITCH = 'mmpretrain.utils.dependency'  # holds WITH_MULTIMODAL, read by mmpretrain's packages
_RES_LAYER = 'mmpretrain.models.utils.res_layer_extra_norm'


class PartsFinder:
    """Finder of the two modules, which loads them changed."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a module's spec with a loader of our own, ``None`` for any other module."""
        if name == _SWITCH and not transformers_fits():
            loader = _SwitchOff
        elif name == _RES_LAYER and 'mmdet.models' not in sys.modules:
            loader = _WithoutMMDetection
        else:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader = loader(name, spec.origin)
        return spec


class _SwitchOff(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.WITH_MULTIMODAL = False


class _WithoutMMDetection(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        module.ResLayerExtraNorm = None


def transformers_fits() -> bool:
    """Return whether the installed transformers is one that mmpretrain's multimodal parts take."""
    # Imported here, as every start of every command pays for what the module itself imports.
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    try:
        installed = version('transformers')
        lines = requires('onedl-mmpretrain') or []
    except PackageNotFoundError:
        return False
    wanted = [Requirement(line) for line in lines if line.startswith('transformers')]
    return bool(wanted) and all(installed in one.specifier for one in wanted)


def switch_off_imported() -> None:
    """Switch off the multimodal parts where the switch was imported before."""
    imported = sys.modules.get(_SWITCH)
    if imported is not None and not transformers_fits():
        imported.WITH_MULTIMODAL = False
