"""Free ports for the services of one machine."""

import contextlib
import errno
import random
import socket
from collections.abc import Collection

# Below the range from which Linux (32768 up) and macOS (49152 up) take the local ends of outgoing
# connections: there, a client that waits for a service could be given the very port that the service is
# about to take, or even connect to itself.
_FIRST, _LAST = 20_000, 29_999
_ATTEMPTS = 200


def free_ports(count: int, host: str = "127.0.0.1", taken: Collection[int] = ()) -> list[int]:
    """Return `count` different ports of `host` on which nothing listens and which are not `taken`.

    Raises:
        OSError: none was found.
    """
    ports = list[int]()
    for port in random.sample(range(_FIRST, _LAST + 1), _ATTEMPTS):
        if len(ports) == count:
            break
        if port not in taken and can_listen(host, port):
            ports.append(port)
    if len(ports) < count:
        raise OSError(f"no {count} free ports on {host} between {_FIRST} and {_LAST}")
    return ports


def can_listen(host: str, port: int) -> bool:
    """Tell whether a server could listen there now.

    Raises:
        OSError: `host` is no address of this machine, or the port may not be used.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with contextlib.closing(socket.socket(family, kind, protocol)) as attempt:
        # As servers do: connections of the last server that still linger are no obstacle.
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(address)
            attempt.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True
