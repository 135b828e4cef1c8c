"""Exceptions that end a command with one line: mistakes a user can mend, and faults."""

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
RESUME = 'go on with --resume'
START_AGAIN = 'start it again'

DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}
WRONG_PATH = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP,
    errno.ENAMETOOLONG,
}  # fmt: skip


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


def about_a_path(error: BaseException, again: str = START_AGAIN) -> UserError | None:
    """What an ``OSError`` says of a disk or of a path, in words; ``None`` for any other error.

    Args:
        again: what the user does when there is room.
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
    first = min(
        error.errors(include_url=False), key=lambda item: (item['type'] not in order, item['loc'])
    )
    where = visible('.'.join(map(str, first['loc'])))[:100]
    if first['type'] in order:
        return f'{"missing" if first["type"] == "missing" else "unknown"} field: {where}'
    # Our own checks raise ValueError; pydantic's texts say "Input should be ...".
    message = first['msg'].removeprefix('Value error, ').replace('Input should', 'should', 1)
    return f'{where}: {message}, got {first["input"]!r:.80}' if where else message


def print_error(message: object) -> None:
    """Write ``error: `` and a message to stderr, in one line and one piece.

    In one piece, because several processes share a stderr: with text and line end apart, as
    ``print`` writes them where the stream has no buffer, the lines of two ranks run together.
    """
    sys.stderr.write('error: ' + visible(' '.join(str(message).split())) + '\n')


def end_of(exit_code: int) -> str:
    """How a process ended, in words; codes below 0 are signals."""
    if exit_code < 0:
        return f'was killed by {signal.Signals(-exit_code).name}'
    return f'ended with exit code {exit_code}'


def behind(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it was made of.

    What a handler of signals raises may come at any moment, so that some library takes it for
    another error: MMEngine's ``Config.pretty_text`` for one of syntax, ``inspect`` for one of
    types.
    """
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def is_interrupt(error: BaseException | None) -> bool:
    """Whether an error is Ctrl-C, or what a library made of it."""
    return any(isinstance(one, KeyboardInterrupt) for one in behind(error))


def worker_death(error: BaseException | None) -> RuntimeError | None:
    """torch's error about a dead loader worker, if it is behind another one."""
    for one in behind(error):
        if isinstance(one, RuntimeError) and 'DataLoader worker' in str(one):
            return one
    return None
