"""What the OpenMMLab libraries expect of their environment and no longer find.

Three gaps, each closed only where it is there:

* ``mmcv._ext``, mmcv's compiled operators: :mod:`symmim_mm.compat.mmcv_ext` gives the two which
  Mask R-CNN needs through torchvision's. Where mmcv was compiled, its own operators are used.
* ``imgaug`` (package ``imaug``), which mmdet imports for lane detection:
  :mod:`symmim_mm.compat.imgaug` stands in for it until someone uses it.
* mmpretrain's multimodal models, which fail to import with releases of transformers they were
  not written for: :mod:`symmim_mm.compat.mmpretrain_parts` switches them off, and the import of
  mmdet for one layer.

``import symmim_mm`` installs all three and imports neither torch nor another library. A program
that imports ``mmdet``, ``mmseg``, ``mmpretrain`` or ``mmcv.ops`` by itself needs that line before
them; processes started by spawn or forkserver need it in their main module or get it with the
first object of this package that they unpickle.
"""

import sys

from symmim_mm.compat.missing import StandInFinder
from symmim_mm.compat.mmpretrain_parts import PartsFinder, switch_off_imported


def install() -> None:
    """Close the gaps for every later import of this process; further calls change nothing."""
    if StandInFinder not in sys.meta_path:
        sys.meta_path.append(StandInFinder)
        sys.meta_path.insert(0, PartsFinder)
    switch_off_imported()
