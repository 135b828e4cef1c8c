"""What every command of ``tools/`` shares: environment, errors, exit codes."""

import argparse
import os
import select
import signal
import sys
from collections.abc import Callable

from symmim_mm.utils.errors import UserError, from_os_error, is_interrupt, print_error


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
    stderr each); 75 stopped by a signal after saving; 130 interrupted; 141 the reader of stdout is
    gone, as after ``| head``; anything else ends with a traceback and exit code 1.
    """
    prepare_environment()
    _open_streams()
    try:
        # A function is called only now, after the environment stands, and may import torch.
        parser = parser if isinstance(parser, argparse.ArgumentParser) else parser()
        main(parser.parse_args())
        sys.stdout.flush()
    except BaseException as error:
        code = _tell(error)
        _give_up_output()
        if code is None:
            raise
        sys.exit(code)


def _tell(error: BaseException) -> int | None:
    """Say in one line what ended a command; its exit code, ``None`` where others know that."""
    if is_interrupt(error):
        sys.stderr.write('interrupted\n')  # in one piece, as print_error
        return 128 + signal.SIGINT
    if isinstance(error, BrokenPipeError) and _reader_is_gone():
        return 128 + signal.SIGPIPE
    told = error if isinstance(error, UserError) else from_os_error(error)
    if told is None:
        return None
    print_error(told)
    return told.exit_code


def _open_streams() -> None:
    """Put ``/dev/null`` in the place of standard streams that the caller closed (``>&-``).

    Files opened later would get their numbers, and what is printed would be written into them.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for number, name in enumerate(('stdin', 'stdout', 'stderr')):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, 'w' if number else 'r', closefd=False))


def _reader_is_gone() -> bool:
    """Whether nobody reads what is written to stdout any more."""
    poll = select.poll()
    poll.register(1, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _give_up_output() -> None:
    """Drop output that nobody takes, of which Python would complain again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
