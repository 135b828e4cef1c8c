"""What every command of ``tools/`` shares: environment, errors, exit codes."""

import argparse
import os
import signal
import sys
from collections.abc import Callable

from symmim_mm.errors import UserError, is_interrupt, print_error


def prepare_environment() -> None:
    """Set the environment that has to stand before torch is imported.

    ``TORCH_FORCE_WEIGHTS_ONLY_LOAD``: MMEngine's checkpoint loader retries a failed safe load
    with ``weights_only=False``, which runs any code that the file holds. With this variable
    torch refuses that second try as well.
    """
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'


def run(
    main: Callable[[argparse.Namespace], None],
    parser: argparse.ArgumentParser | Callable[[], argparse.ArgumentParser],
) -> None:
    """Parse the command line, call ``main`` and turn its outcome into an exit code.

    Exit codes: 0 success; 2 a user's mistake, 1 a fault of the machine (one ``error:`` line on
    stderr each); 75 stopped by a signal after saving; 130 interrupted; anything else ends with a
    traceback and exit code 1.
    """
    prepare_environment()
    try:
        # A function is called only now, after the environment stands, and may import torch.
        parser = parser if isinstance(parser, argparse.ArgumentParser) else parser()
        main(parser.parse_args())
    except UserError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except BaseException as error:
        if not is_interrupt(error):
            raise
        sys.stderr.write('interrupted\n')  # in one piece, as print_error
        sys.exit(128 + signal.SIGINT)
