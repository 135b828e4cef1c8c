"""The commands: ``symmim COMMAND``, ``python -m symmim_mm.cli COMMAND`` and ``tools/*.py``."""

from symmim_mm.cli.commands import COMMANDS, main, run_command
from symmim_mm.cli.run import run

__all__ = ['COMMANDS', 'main', 'run', 'run_command']
