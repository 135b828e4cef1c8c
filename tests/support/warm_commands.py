"""Runs commands of ``tools/`` one after another without importing the libraries every time.

A server that has imported the libraries, and of this project only the stand-ins for what they miss,
forks a process for every command; the tool's file runs in it as ``python FILE ARGUMENTS`` would.
Started as a program it reads one JSON object a line: ``argv``, ``env``, ``out``, ``err``; and
answers with the exit code.
"""

import contextlib
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

from symmim_mm.utils.warm_start import ENVIRONMENT, become, import_libraries


class WarmCommands:
    """The client: ``commands('train.py', 'config.py', ...)`` runs a command as a user does.

    Args:
        root: of the repository.
        folder: for what the commands print.
        *within: a command that runs the server, such as ``unshare``.
        **env: changes of the environment.
    """

    def __init__(self, root: Path, folder: Path, *within: str, **env: str) -> None:
        self.root, self.folder, self.count = root, folder, 0
        self.environ = dict(os.environ)
        environment = {**os.environ, 'OMP_NUM_THREADS': '1', **ENVIRONMENT}
        environment.pop('TORCH_FORCE_WEIGHTS_ONLY_LOAD', None)
        self.server = subprocess.Popen(
            [*within, sys.executable, __file__], cwd=root, env=environment | env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def __call__(self, name: str, *arguments: str | Path, timeout: float = 600, **env: str):
        self.count += 1
        out, err = (self.folder / f'{self.count}.{kind}' for kind in ('out', 'err'))
        argv = [str(self.root / 'tools' / name), *map(str, arguments)]
        changed = {k: v for k, v in os.environ.items() if self.environ.get(k) != v}
        call = dict(argv=argv, env=changed | env, out=str(out), err=str(err), timeout=timeout)
        self.server.stdin.write(json.dumps(call) + '\n')
        self.server.stdin.flush()
        code = int(self.server.stdout.readline())
        texts = (path.read_text(errors='replace') for path in (out, err))
        return subprocess.CompletedProcess(argv, code, *texts)

    def close(self) -> None:
        self.server.stdin.close()
        self.server.wait(30)


@contextlib.contextmanager
def warm_commands(root: Path, folder: Path, *within: str, **env: str) -> Iterator[WarmCommands]:
    """A server for the time of a test session."""
    commands = WarmCommands(root, folder, *within, **env)
    try:
        yield commands
    finally:
        commands.close()


def become_file(argv: list[str], env: dict[str, str], out: int, err: int) -> NoReturn:
    """In a forked process: run a file as ``python FILE ARGUMENTS`` would, and end."""
    os.environ.update(env)
    sys.path.insert(0, os.path.dirname(argv[0]))  # as for a program
    become(partial(runpy.run_path, argv[0], run_name='__main__'), argv, out, err)


def _run(argv: list[str], env: dict[str, str], out: str, err: str, timeout: float) -> NoReturn:
    """In the child: become the command, which SIGALRM ends after a time."""
    signal.setitimer(signal.ITIMER_REAL, timeout)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    files = (os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for path in (out, err))
    become_file(argv, env, *files)


def main() -> None:
    answers = os.fdopen(os.dup(1), 'w', buffering=1)
    os.dup2(2, 1)
    import_libraries()
    loaded = [name for name in sys.modules if name.startswith('symmim_mm.')]
    assert all(name.split('.')[1] in ('compat', 'utils') for name in loaded), loaded
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _run(**json.loads(line))
        answers.write(f'{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n')
    os._exit(0)  # what the libraries do at the end takes long


if __name__ == '__main__':
    main()
