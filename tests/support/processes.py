"""What tests with other processes share: ports that stay free, waiting, errors of one line."""

import random
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

WAIT_S = 600  # a limit for what hangs; no test waits so long even on a busy machine


def free_ports(number: int) -> list[int]:
    """Different ports on which nobody listens, for processes that are yet to start.

    Those that the system gives to a socket that asks for any are no use: between the choice and the
    start it gives them to other sockets, too.
    """
    first, _ = map(int, Path('/proc/sys/net/ipv4/ip_local_port_range').read_text().split())
    return [port for port in random.Random().sample(range(10_000, first), 100) if _is_free(port)][
        :number
    ]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(('127.0.0.1', port))
        except OSError:
            return False
    return True


def wait_until(condition: Callable[[], object], seconds: float = WAIT_S) -> bool:
    """Wait until something is so; False where it never was."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def error_line(done: subprocess.CompletedProcess, *words: str, ranks: int = 1) -> str:
    """The one line (of each process) with which a command refused a mistake; it has the words."""
    assert done.returncode == 2, done.stdout[-1000:] + done.stderr[-3000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert 1 <= len(lines) <= ranks and 'Traceback' not in done.stderr, done.stderr[-3000:]
    assert all(word in line for word in words for line in lines), lines
    return lines[0]
