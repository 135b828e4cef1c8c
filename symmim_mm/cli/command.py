"""A command: its summary, its arguments, and the function that it calls."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from symmim_mm.utils.warm_start import importing_libraries

# Kind, default and help of an option; see `add_options`.
Options = Mapping[str, tuple[type | str | tuple[str, ...], object, str]]


@dataclass(frozen=True)
class Command:
    """A command; ``call`` gets the parsed arguments, or is the ``module:function`` that does."""

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    call: Callable[[argparse.Namespace], object] | str
    epilog: str = ''

    def build_parser(self, prog: str) -> argparse.ArgumentParser:
        """Return the command's parser; ``prog`` is what the user typed."""
        parser = argparse.ArgumentParser(
            prog=prog,
            description=self.summary,
            epilog=self.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_arguments(parser)
        return parser

    def run(self, args: argparse.Namespace) -> None:
        """Do what the command is for."""
        if isinstance(self.call, str):
            call(self.call, args)
        else:
            self.call(args)


def call(name: str, args: argparse.Namespace) -> Any:
    """Import a function, as ``module:function`` below ``symmim_mm``, and call it by keywords."""
    module, _, function = name.partition(':')
    with importing_libraries():
        found = getattr(import_module(f'symmim_mm.{module}'), function)
    return found(**{key: value for key, value in vars(args).items() if key != 'local_rank'})


def add_options(parser: argparse._ActionsContainer, options: Options) -> None:
    """Add options by their names.

    The kind is ``bool`` for a flag, ``int`` or ``float``, the choices, or the name of what a string
    stands for, such as ``'FILE'``. A default is named in the help.
    """
    for name, (kind, default, text) in options.items():
        text += '' if default is None else f' (default: {default})'
        if kind is bool:
            parser.add_argument(name, action='store_true', help=text)
        elif isinstance(kind, type):
            parser.add_argument(name, type=kind, default=default, metavar='N', help=text)
        elif isinstance(kind, str):
            parser.add_argument(name, default=default, metavar=kind, help=text)
        else:
            parser.add_argument(name, choices=kind, default=default, help=text)
