"""A command: its summary, its arguments, and what it calls."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A command; ``call`` is given the parsed arguments."""

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    call: Callable[[argparse.Namespace], None]
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
