"""What a web process takes on, and how slow a client may be."""

from dataclasses import dataclass

from waitress.adjustments import Adjustments


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one web process.

    Attributes:
        threads: requests served at the same time.
        connections: open at the same time; more wait in the socket's queue.
        body_bytes: largest body.
        trusted_proxy: address of the proxy whose X-Forwarded-* headers count, `*` for any peer;
            none where absent, and the headers are removed.
        silent_seconds: pause of a client in the middle of a request, or of reading its answer.
        head_seconds: for a request whatever its size …
        bytes_per_second: … and as much longer as its body takes at this rate.
        idle_seconds: a connection's time between requests.
        yield_seconds: that a process leaves a new connection to a sibling which holds fewer.
        linger_seconds: reading on after a refusal, so that the client gets to read it.
        drain_seconds: finishing what has begun when told to stop.
        hung_seconds: a main loop that has not turned for this long is taken for dead.
    """

    threads: int = 8
    connections: int = 1_000
    body_bytes: int = 66 * 1024 * 1024
    trusted_proxy: str | None = None
    silent_seconds: float = 15.0
    head_seconds: float = 30.0
    bytes_per_second: float = 64 * 1024
    idle_seconds: float = 75.0
    yield_seconds: float = 0.005
    linger_seconds: float = 3.0
    drain_seconds: float = 10.0
    hung_seconds: float = 60.0

    def adjustments(self) -> Adjustments:
        """The same in waitress' words."""
        proxy = {
            "trusted_proxy": self.trusted_proxy,
            "trusted_proxy_count": 1,
            "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"},
        }
        return Adjustments(
            ident=None,
            connection_limit=self.connections,
            backlog=2_048,
            recv_bytes=256 * 1024,
            inbuf_overflow=1024 * 1024,
            outbuf_overflow=4 * 1024 * 1024,
            max_request_header_size=64 * 1024,
            max_request_body_size=self.body_bytes,
            cleanup_interval=1,
            log_socket_errors=False,
            clear_untrusted_proxy_headers=True,
            asyncore_use_poll=True,
            **(proxy if self.trusted_proxy else {}),
        )
