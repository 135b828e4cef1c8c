"""Importing the libraries: once for many commands, which run in forks of the process that did it.

It takes seconds of a processor's time, as long as the smallest runs of a suite.
"""

import atexit
import gc
import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

PROGRAM = (sys.executable, '-m', 'symmim_mm.cli')
LIBRARIES = ('torch', 'torchvision', 'cv2', 'rich.console', 'mmengine.runner', 'mmcv.ops',
             'mmpretrain.models', 'mmpretrain.datasets', 'mmpretrain.evaluation',
             'mmpretrain.engine', 'mmdet.models', 'mmdet.datasets', 'mmdet.evaluation',
             'mmdet.engine', 'mmseg.models', 'mmseg.datasets', 'mmseg.evaluation', 'mmseg.engine',
             'pydantic', 'yapf.yapflib.yapf_api')  # fmt: skip
# The process must have it: asked otherwise whether there is a GPU, CUDA does not work in a fork.
ENVIRONMENT = {'PYTORCH_NVML_BASED_CUDA_CHECK': '1'}


@contextmanager
def importing_libraries() -> Iterator[None]:
    """Pause garbage collection, and spare for good what the imports within leave behind.

    The libraries make hundreds of thousands of objects that stay, through which the collector would
    go again and again: a fifth of the time of their import.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


def import_libraries() -> None:
    """Import what the commands import of others; of this project nothing but their stand-ins."""
    with importing_libraries():
        for name in LIBRARIES:
            importlib.import_module(name)


def become(program: Callable[[], object], argv: Sequence[str], out: int, err: int) -> NoReturn:
    """Run a program in a forked process as an interpreter of its own would, and end the process.

    Args:
        program: runs the program's code.
        argv: its ``sys.argv``.
        out: descriptor of an open file, its standard output.
        err: its standard error.
    """
    os.dup2(out, 1)
    os.dup2(err, 2)
    # A program may start others like this: its own streams must not close these descriptors.
    sys.stdout, sys.stderr = (os.fdopen(number, 'w', 1, closefd=False) for number in (1, 2))
    sys.argv = list(argv)
    code = 0
    try:
        program()
    except SystemExit as error:
        if isinstance(error.code, int | None):
            code = error.code or 0
        else:
            print(error.code, file=sys.stderr)
            code = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    # What Python does at its end, without taking the libraries apart: that takes long.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
