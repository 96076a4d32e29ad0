"""The listening socket: made once, by whoever outlives the web processes."""

import errno
import socket
from contextlib import suppress


class PortTaken(OSError):
    """Somebody else listens there."""


def listen(host: str, port: int) -> socket.socket:
    """A bound, listening TCP socket.

    Raises:
        PortTaken: another program has the port.
        OSError: the address is not ours, or not allowed.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        with suppress(OSError):
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    try:
        listener.bind(address)
        listener.listen(2_048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"port {port} of {host} is taken by another program: choose another"
            ) from error
        if isinstance(error, PermissionError):
            raise PermissionError(f"port {port} of {host} is not ours to take") from error
        raise
    return listener


def address(listener: socket.socket) -> str:
    """Where a browser on this machine finds it."""
    return url(*listener.getsockname()[:2])


def url(host: str, port: int) -> str:
    """The address of a host and port that somebody listens on, as a browser takes it."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  read, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
