"""Found by a Python whose ``PYTHONPATH`` begins here: every way out of the machine is an error.

Each try is also written into the file that ``NETWORK_LOG`` names, as the error may be caught.
"""

import os
import socket


def _refuse(what: object) -> None:
    with open(os.environ['NETWORK_LOG'], 'a', encoding='utf-8') as log:
        log.write(f'{what}\n')
    raise OSError(f'the network is out of bounds: {what}')


def _own(address: object) -> bool:
    """Whether an address is of this machine: a socket file or the loopback device."""
    host = address[0] if isinstance(address, tuple) else None
    return host is None or host in ('localhost', '::1', '') or str(host).startswith('127.')


class _Socket(socket.socket):
    def connect(self, address):
        return super().connect(address) if _own(address) else _refuse(address)

    def connect_ex(self, address):
        return super().connect_ex(address) if _own(address) else _refuse(address)

    def sendto(self, data, *arguments):
        if not _own(arguments[-1]):
            _refuse(arguments[-1])
        return super().sendto(data, *arguments)


_look_up = socket.getaddrinfo


def _getaddrinfo(host, *arguments, **options):
    own = _own((host,)) or host == socket.gethostname()
    return _look_up(host, *arguments, **options) if own else _refuse(host)


socket.socket = _Socket
socket.getaddrinfo = _getaddrinfo
