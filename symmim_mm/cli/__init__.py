"""The commands: ``symmim COMMAND``, ``python -m symmim_mm.cli COMMAND`` and ``tools/*.py``."""

import argparse
import sys

from symmim_mm import __version__
from symmim_mm.cli import app, data, own_data, results, training
from symmim_mm.cli.run import run

__all__ = ['COMMANDS', 'main', 'run', 'run_command']

COMMANDS = own_data.COMMANDS | training.COMMANDS | results.COMMANDS | app.COMMANDS | data.COMMANDS


def run_command(name: str, prog: str, arguments: list[str] | None = None) -> None:
    """Run one command as a program: parse, call, end with its exit code."""
    command = COMMANDS[name]
    run(command.run, lambda: command.build_parser(prog), arguments)


def main() -> None:
    """Run ``symmim COMMAND ...``."""
    names = '\n'.join(f'  {name:12} {command.summary}' for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog='symmim',
        description='Masked image modeling with SymMIM, MAE and SimMIM, and its transfer.',
        epilog=f'commands:\n{names}\n\n`symmim COMMAND --help` lists the options of one.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=f'symmim-mm {__version__}')
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND', help='see below')
    # Only the first word: the rest belongs to the command's own parser.
    command = parser.parse_args(sys.argv[1:2]).command
    run_command(command, f'symmim {command}', sys.argv[2:])
