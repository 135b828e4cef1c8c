"""What tests with other processes share: ports that stay free, and waiting."""

import random
import socket
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
