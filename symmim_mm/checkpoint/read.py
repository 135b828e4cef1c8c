"""Reading of checkpoints that runs none of the code that they may hold."""

import os
import re
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from symmim_mm.checkpoint.unpickle import safe_load
from symmim_mm.checkpoint.weights import check_plain
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.paths import checkpoint_problem
from symmim_mm.utils.text import short

ZIP_START = b'PK\x03\x04'
CHECKPOINT_NAME = re.compile(r'(?=epoch|iter)(?:epoch_(\d+))?_?(?:iter_(\d+))?\.pth')


def read_checkpoint(path: str | Path, map_location: Any = 'cpu') -> dict:
    """Read a checkpoint file without running any code that it may hold.

    Args:
        path: a file of ``torch.save``, or a ``.safetensors`` file.
        map_location: device of the tensors, as for ``torch.load``.

    Returns:
        The saved dict.

    Raises:
        UserError: no such file, not a checkpoint, a damaged one, or one that would run code.
    """
    if problem := checkpoint_problem(path):
        raise UserError(f'checkpoint {problem}')
    path = Path(path)
    tensors_only = path.suffix == '.safetensors'
    kind = 'safetensors file' if tensors_only else 'PyTorch checkpoint'
    try:
        check_entries(path)
        checkpoint = load_file(path) if tensors_only else safe_load(path, map_location)
    except (UserError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        # Damaged and hostile bytes make torch and safetensors raise any exception.
        message, unpickling = str(error), isinstance(error, UnpicklingError)
        if unpickling and (found := re.search(r'GLOBAL ([\w.]+)', message)):
            what = f'was refused: loading it would run {short(found[1])}'
        elif isinstance(error, OSError):
            what = f'cannot be read: {error.strerror or short(message)}'
        else:
            # torch's own text tells users to unpickle with code.
            why = message.splitlines()[0][:200] if message else type(error).__name__
            what = f'is not a {kind} or is damaged' + f': {why}' * (not unpickling)
        raise UserError(f'checkpoint {path} {what}') from error
    if not isinstance(checkpoint, dict):
        raise UserError(f'checkpoint {path} holds a {type(checkpoint).__name__}, not a dict')
    return checkpoint


def check_entries(path: Path) -> None:
    """Check the CRC-32 of every entry of an archive, which torch writes and does not look at.

    Other kinds of files have none and pass.
    """
    with open(path, 'rb') as file:
        if file.read(4) != ZIP_START:
            return
        with zipfile.ZipFile(file) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > os.path.getsize(path):
                raise UserError(f'checkpoint {path} is damaged: its entries do not fit into it')
            if broken := archive.testzip():
                raise UserError(
                    f'checkpoint {path} is damaged: the checksum of {short(broken)} is wrong'
                )


def read_model_state(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a whole model by name, as MMEngine saved them.

    Raises:
        UserError: an unreadable file, one without them, or tensors that cannot be copied.
    """
    source = f'checkpoint {path}'
    state = read_checkpoint(path).get('state_dict')
    whole = isinstance(state, dict) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    )
    if not whole or not state:
        raise UserError(
            f"{source} has no tensors by name under 'state_dict': take the checkpoint of a run, "
            'as MMEngine saved it; weights of another library go to --backbone or --init'
        )
    check_plain(state, source)
    return dict(state)  # without the versions of modules, which torch keeps as an attribute


def checkpoint_files(folder: str | Path) -> list[Path]:
    """Return the checkpoints of a run in the order of its progress, the newest last.

    ``epoch_3.pth`` ends epoch 3, ``epoch_3_iter_70.pth`` was saved later, within the next one;
    ``iter_70.pth`` belongs to runs that count iterations.
    """
    found = [(CHECKPOINT_NAME.fullmatch(path.name), path) for path in Path(folder).glob('*.pth')]
    steps = [(int(name[1] or 0), int(name[2] or 0), path) for name, path in found if name]
    return [path for *_, path in sorted(steps) if path.is_file()]


def newest_whole_checkpoint(work_dir: str | Path) -> Path | None:
    """Return the newest checkpoint that is as it was written, ``None`` if the run has none yet.

    A damaged one is reported and skipped.

    Raises:
        UserError: there are checkpoints, and all of them are damaged.
    """
    files = checkpoint_files(work_dir)
    for path in reversed(files):
        try:
            read_checkpoint(path)
        except UserError as error:
            print(f'not resuming from the newest checkpoint: {error}')
        else:
            return path
    if files:
        raise UserError(
            f'none of the {len(files)} checkpoints in {work_dir} is whole: '
            'start again with another --work-dir'
        )
    return None
