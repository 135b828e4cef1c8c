"""Trainings and tests by two processes on the CPU, which import the libraries once."""

import multiprocessing
import os
from importlib import import_module
from pathlib import Path

import torch.multiprocessing as mp
from processes import free_ports

Call = tuple[str, dict]
"""``'train'`` or ``'test'``, and the arguments of that function of ``symmim_mm.apis``."""


def two_processes(*calls: Call, errors: Path | None = None) -> None:
    """Make calls one after the other, all in the same two processes.

    Args:
        *calls: to make.
        errors: file to which both append what they write to stderr.
    """
    multiprocessing.set_forkserver_preload(
        ['symmim_mm', 'mmpretrain.models', 'symmim_mm.engine.runner.fsdp']
    )
    # One port each: rank 1 may begin the next run while rank 0 still serves the last one.
    ports = free_ports(len(calls))
    mp.start_processes(_worker, (ports, calls, errors), 2, start_method='forkserver')


def _worker(rank: int, ports: list[int], calls: tuple[Call, ...], errors: Path | None) -> None:
    if errors:
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    os.environ.update(RANK=str(rank), WORLD_SIZE='2', LOCAL_RANK=str(rank), OMP_NUM_THREADS='1')
    os.environ['MASTER_ADDR'] = '127.0.0.1'
    for port, (name, arguments) in zip(ports, calls, strict=True):
        os.environ['MASTER_PORT'] = str(port)
        function = getattr(import_module(f'symmim_mm.apis.{name}'), name)
        function(**arguments, launcher='pytorch')
