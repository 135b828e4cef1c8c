"""Switch that turns mmpretrain's multimodal models off where they would break its import.

mmpretrain imports them wherever transformers is installed in 4.28 or later, and ends in a
``TypeError`` with transformers 5. Here they are imported only with the releases that its extra
``multimodal`` asks for. transformers itself stays visible to everyone.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

_SWITCH = 'mmpretrain.utils.dependency'  # holds WITH_MULTIMODAL, read by mmpretrain's packages


class MultimodalFinder:
    """Finder of mmpretrain's switch, which leaves it off if transformers does not fit."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the switch's spec with a loader of our own, ``None`` for any other module."""
        if name != _SWITCH or transformers_fits():
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader = _SwitchOff(name, spec.origin)
        return spec


class _SwitchOff(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.WITH_MULTIMODAL = False


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


def install() -> None:
    """Put the finder before all others, and switch off what was imported before."""
    if not any(isinstance(finder, MultimodalFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, MultimodalFinder())
    imported = sys.modules.get(_SWITCH)
    if imported is not None and not transformers_fits():
        imported.WITH_MULTIMODAL = False
