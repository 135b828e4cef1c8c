"""What tests of ``tools/check_dataset.py`` share."""

from collections.abc import Callable

import pytest

from symmim_mm.cli import COMMANDS


@pytest.fixture
def run_check() -> Callable[..., None]:
    """Run the command in this process: ``run_check('folder', root, '--quick')``."""
    command = COMMANDS['check']
    parser = command.build_parser('check')
    return lambda *arguments: command.run(parser.parse_args([*map(str, arguments)]))
