"""What every command shares: environment, errors, exit codes."""

import argparse
import os
import select
import signal
import sys
from collections.abc import Callable

from symmim_mm.utils.errors import UserError, from_os_error, is_interrupt, print_error


def prepare_environment() -> None:
    """Set the environment variables that torch reads when it is imported.

    ``TORCH_FORCE_WEIGHTS_ONLY_LOAD``: MMEngine's checkpoint loader retries a failed safe load
    with ``weights_only=False``, which runs any code that the file holds. With this variable
    torch refuses that second try as well.
    """
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'


def run(
    main: Callable[[argparse.Namespace], None],
    build_parser: Callable[[], argparse.ArgumentParser],
    arguments: list[str] | None = None,
) -> None:
    """Parse a command line, call ``main`` and turn its outcome into an exit code.

    Exit codes: 0 success; 2 a user's mistake, 1 a fault of the machine (one ``error:`` line on
    stderr each); 75 stopped by a signal after saving; 130 interrupted; 141 the reader of stdout is
    gone, as after ``| head``; anything else ends with a traceback and exit code 1.

    Args:
        main: the command.
        build_parser: called when the environment is set: it may import torch.
        arguments: those of the process by default.
    """
    prepare_environment()
    _open_streams()
    try:
        main(build_parser().parse_args(arguments))
        sys.stdout.flush()
    except BaseException as error:
        code = _report(error)
        _drop_output()
        if code is None:
            raise
        sys.exit(code)


def _report(error: BaseException) -> int | None:
    """Print one line about what ended a command; return its exit code, ``None`` for a defect."""
    if is_interrupt(error):
        sys.stderr.write('interrupted\n')  # one write, as in print_error
        return 128 + signal.SIGINT
    if isinstance(error, BrokenPipeError) and _reader_is_gone():
        return 128 + signal.SIGPIPE
    known = error if isinstance(error, UserError) else from_os_error(error)
    if known is None:
        return None
    print_error(known)
    return known.exit_code


def _open_streams() -> None:
    """Open ``/dev/null`` in place of standard streams that the caller closed (``>&-``).

    Files opened later would get their numbers, and what is printed would be written into them.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for number, name in enumerate(('stdin', 'stdout', 'stderr')):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, 'w' if number else 'r', closefd=False))


def _reader_is_gone() -> bool:
    """Return whether the pipe that stdout writes to has no reader any more."""
    poll = select.poll()
    poll.register(1, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _drop_output() -> None:
    """Drop output that nobody reads, of which Python would complain again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
