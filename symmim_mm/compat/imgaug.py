"""Stand-in for ``imgaug`` and its submodules: every name can be imported, none can be used.

mmdet imports ``imgaug`` for lane detection whenever its transforms are imported. The package
behind it brings numba, llvmlite, scikit-image and a second OpenCV.
"""

from symmim_mm.utils.errors import UserError


def __getattr__(name: str) -> type:
    """Return a class which raises :class:`UserError` when it is called."""
    if name.startswith('_'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

    def refuse(cls: type, *args: object, **kwargs: object) -> None:
        raise UserError(f'{cls.__module__}.{name} needs the package imaug: pip install imaug')

    return type(name, (), {'__module__': __name__, '__new__': refuse})
