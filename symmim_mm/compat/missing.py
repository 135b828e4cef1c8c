"""Stand-ins for modules which OpenMMLab imports and this environment does without."""

from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

_FOLDER = Path(__file__).parent
_STAND_INS = {'mmcv._ext': _FOLDER / 'mmcv_ext.py', 'imgaug': _FOLDER / 'imgaug.py'}


class StandInFinder:
    """Finder of the stand-ins, asked after all others: an installed module always wins.

    Every submodule of ``imgaug`` is the same stand-in again. (No subclass of
    ``importlib.abc.MetaPathFinder``: importing that takes longer than all the rest here.)
    """

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of the stand-in for ``name``, ``None`` for any other module."""
        file = _STAND_INS.get(name)
        if name.startswith('imgaug.') and not path:  # below the stand-in, whose path is empty
            file = _STAND_INS['imgaug']
        if file is None:
            return None
        spec = spec_from_file_location(name, file)
        if name != 'mmcv._ext':
            spec.submodule_search_locations = []
        return spec
