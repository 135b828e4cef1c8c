"""Start of every tool: the checkout's package, in an environment that has what it needs."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def start(command: str) -> None:
    """Run a command of ``symmim_mm.cli``, in ``.venv`` if this Python lacks the libraries."""
    if not all(map(find_spec, ('torch', 'mmengine', 'pydantic'))):
        python = ROOT / '.venv' / 'bin' / 'python'
        if not python.is_file() or Path(sys.prefix) == ROOT / '.venv':
            sys.stderr.write(
                f'error: {sys.executable} lacks the libraries of this project: run `make setup`, '
                'or activate the environment that has them\n'
            )
            sys.exit(2)
        os.execv(python, [str(python), *sys.argv])
    sys.path.insert(0, str(ROOT))
    from symmim_mm.cli import run_command

    run_command(command, prog=f'tools/{Path(sys.argv[0]).name}')
