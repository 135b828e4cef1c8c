"""Exceptions that end a command with one line: mistakes a user can mend, and faults."""

import sys

from symmim_mm.shown_text import visible

EXIT_FAULT = 1
EXIT_USER_ERROR = 2
EXIT_PREEMPTED = 75  # EX_TEMPFAIL of sysexits.h: call the same command again

# What a user does after a fault, in messages.
RESUME = 'go on with --resume'
START_AGAIN = 'start it again'


class UserError(Exception):
    """A mistake in a path, an option, a config or the data.

    The message is one line that says what is wrong and what to do about it. ``symmim_mm.cli.run``
    prints it without a traceback; any other exception is a defect and keeps its traceback.
    """

    exit_code = EXIT_USER_ERROR


class Fault(UserError):
    """Something failed that is nobody's mistake: a process, a disk, a connection.

    The message is one line, too: what failed, and how to go on.
    """

    exit_code = EXIT_FAULT


def print_error(message: object) -> None:
    """Write ``error: `` and a message to stderr, in one line and one piece.

    In one piece, because several processes share a stderr: with text and line end apart, as
    ``print`` writes them where the stream has no buffer, the lines of two ranks run together.
    """
    sys.stderr.write('error: ' + visible(' '.join(str(message).split())) + '\n')


def is_interrupt(error: BaseException | None) -> bool:
    """Whether an error is Ctrl-C, or what a library made of it.

    MMEngine's ``Config.pretty_text`` takes whatever stops it for a mistake of syntax.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None
