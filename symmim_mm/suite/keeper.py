"""Starts the commands of a suite, which must not outlive it.

``python -m symmim_mm.suite.keeper DESCRIPTOR [--warm]`` leads a session of its own and has an end
of a connection to the suite. It receives ``(name, words, log)`` for every command to start, and
sends ``(name, process, None)`` when it runs and ``(name, process, code)`` when it has ended. When
the connection is closed, however the suite ended (``kill -9``, too), every command is ended, and
then the keeper.

With ``--warm`` the commands of this package run in forks of the keeper, where the libraries are
imported already; not where there is a GPU, which PyTorch does not promise to work in a fork.
"""

import os
import runpy
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import NoReturn

from symmim_mm.utils.warm_start import PROGRAM, become, import_libraries, importing_libraries

POLL_S = 0.1
STOP_S = 20  # an interrupted training saves its checkpoint, srun cancels its job


def main() -> None:
    """Start commands until the suite is gone."""
    connection = Connection(int(sys.argv[1]))
    # This process waits for what SIGTERM makes the commands do.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    warm = False
    if '--warm' in sys.argv:
        with importing_libraries():
            import torch
        if warm := not torch.cuda.is_available():
            import_libraries()
    names: dict[int, str] = {}
    with suppress(EOFError, OSError):
        while True:
            while connection.poll(POLL_S):
                name, words, log = connection.recv()
                process = os.fork()
                if not process:
                    connection.close()
                    _run(words, log, warm)
                names[process] = name
                connection.send((name, process, None))
            for process, code in _ended(names):
                connection.send((names.pop(process), process, code))
    _stop(names)


def _run(words: Sequence[str], log: str, warm: bool) -> NoReturn:
    """In a forked process: become the command, the leader of a group of its own."""
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(out, 1)
        os.dup2(out, 2)
        start = len(PROGRAM)
        if warm and tuple(words[:start]) == PROGRAM:
            module = partial(runpy.run_module, PROGRAM[-1], run_name='__main__', alter_sys=True)
            become(module, words[start - 1 :], out, out)
        os.execvp(words[0], words)
    except OSError as error:
        os.write(2, f'error: {words[0]}: {error.strerror}\n'.encode())
    finally:
        os._exit(127)


def _ended(processes: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the commands that have ended, with their exit codes, -n if killed by signal n."""
    for process in list(processes):
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            _kill(process, signal.SIGKILL)  # what the command left running
            yield process, os.waitstatus_to_exitcode(status)


def _kill(process: int, number: signal.Signals) -> None:
    """Send a signal to a command and all processes that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process, number)


def _stop(names: dict[int, str]) -> None:
    """End the commands: let trainings save a checkpoint, and kill what takes too long."""
    for process in names:
        _kill(process, signal.SIGTERM)
    until = time.monotonic() + STOP_S
    while names and time.monotonic() < until:
        for process, _ in _ended(names):
            del names[process]
        time.sleep(POLL_S)
    for process in names:
        _kill(process, signal.SIGKILL)


if __name__ == '__main__':
    main()
