"""Exceptions that end a command with one line: mistakes of the user, and faults of the machine."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from symmim_mm.utils.text import visible

if TYPE_CHECKING:
    from pydantic import ValidationError

EXIT_FAULT = 1
EXIT_USER_ERROR = 2
EXIT_PREEMPTED = 75  # EX_TEMPFAIL of sysexits.h: call the same command again

# What a user does after a fault, in messages.
RESUME = 'continue with --resume'
START_AGAIN = 'start it again'

DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}
WRONG_PATH = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EACCES, errno.EPERM,
    errno.ELOOP, errno.ENAMETOOLONG,
}  # fmt: skip


class UserError(Exception):
    """A mistake in a path, an option, a config or the data.

    The message is one line that says what is wrong and what to do about it. ``symmim_mm.cli``
    prints it without a traceback; any other exception is a defect and keeps its traceback.
    """

    exit_code = EXIT_USER_ERROR


class Fault(UserError):
    """A failure that is nobody's mistake: a process, a disk, a connection.

    The message is one line, too: what failed, and how to continue.
    """

    exit_code = EXIT_FAULT


def from_os_error(error: BaseException, again: str = START_AGAIN) -> UserError | None:
    """Return the one-line error for an ``OSError`` about a disk or a path, else ``None``.

    Args:
        error: any exception.
        again: what the user does when there is room on the disk.
    """
    if not isinstance(error, OSError):
        return None
    what = ': '.join(str(part) for part in (error.strerror, error.filename) if part)
    if error.errno in DISK:
        return Fault(f'{what}: make room, then {again}')
    if error.errno in WRONG_PATH and error.filename:
        return UserError(what)
    return None


def from_validation_error(error: ValidationError) -> str:
    """Return the first problem that pydantic found, such as ``seed: must be an integer, got 'x'``.

    Missing and unknown fields come first: they explain the others.
    """
    order = ('missing', 'extra_forbidden')
    first = min(error.errors(include_url=False), key=lambda item: item['type'] not in order)
    where = visible('.'.join(map(str, first['loc'])))[:100]
    if first['type'] in order:
        return f'{"missing" if first["type"] == "missing" else "unknown"} field: {where}'
    # Our own checks raise ValueError; pydantic's texts say "Input should be ...".
    message = first['msg'].removeprefix('Value error, ').replace('Input should', 'should', 1)
    return f'{where}: {message}, got {first["input"]!r:.80}' if where else message


def print_error(message: object) -> None:
    """Write ``error: `` and a message to stderr, in one line and one write.

    One write, because several processes share a stderr: with text and line end apart, as
    ``print`` writes them where the stream has no buffer, the lines of two ranks run together.
    """
    sys.stderr.write('error: ' + visible(' '.join(str(message).split())) + '\n')


def describe_exit(exit_code: int) -> str:
    """Return how a process ended, in words; codes below 0 are signals."""
    if exit_code < 0:
        return f'was killed by {signal.Signals(-exit_code).name}'
    return f'ended with exit code {exit_code}'


def iter_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from.

    The exception of a signal handler may be raised at any moment, so that a library may wrap it in
    an error of its own: MMEngine's ``Config.pretty_text`` in one of syntax, ``inspect`` in one of
    types.
    """
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def is_interrupt(error: BaseException | None) -> bool:
    """Return whether an error is Ctrl-C, or was raised from it."""
    return any(isinstance(one, KeyboardInterrupt) for one in iter_causes(error))


def worker_death(error: BaseException | None) -> RuntimeError | None:
    """Return torch's error about a dead loader worker, if it is among the causes."""
    for one in iter_causes(error):
        if isinstance(one, RuntimeError) and 'DataLoader worker' in str(one):
            return one
    return None
