"""Server process: its socket, its signals, its end."""

import asyncio
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from crossprompt.errors import JobError, RequestError
from crossprompt.utils.process import STOPS

HEAD_WITHIN = 10.0
"""Seconds in which a client must have sent a request's head."""


def bind(host: str, port: int) -> socket.socket:
    """Bind a port, 0 for any that is free, before anything is loaded; it does not listen yet.

    Raises:
        RequestError: there is no such host, or the port cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise RequestError(f"there is no host {host!r} here ({error}); try 127.0.0.1") from error
    found = socket.socket(family, kind, protocol)
    try:
        if hasattr(signal, "SIGKILL"):  # elsewhere the option would let two share the port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except OSError as error:
        found.close()
        raise RequestError(
            f"cannot listen on port {port} of {host} ({error.strerror}); choose another port above "
            "1023 with --port, 0 for any that is free, or another --host"
        ) from error
    return found


def address_of(bound: socket.socket) -> str:
    """URL of the server, for a browser."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class PatientProtocol(H11Protocol):
    """HTTP that closes a connection whose request head does not arrive within ``HEAD_WITHIN``,
    counted from the connection or, later, from the head's first byte: uvicorn has no such limit."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_or_cancel()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._start_or_cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._cancel()

    def _start_or_cancel(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._cancel()  # the head is complete
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_WITHIN, self.transport.close)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Server(uvicorn.Server):
    """Serves an app until it is stopped; see ``serve``."""

    def __init__(self, app: ASGIApp, timeout: float, ready: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            http=PatientProtocol,
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(timeout) + 1,
        )
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def serve(app: ASGIApp, bound: socket.socket, timeout: float, ready: Callable[[], None]) -> None:
    """Answer until SIGINT or SIGTERM, then finish what was accepted; a second SIGINT hurries.

    Args:
        app: answers requests.
        bound: from ``bind``.
        timeout: seconds that an accepted request may take.
        ready: called once requests are answered.

    Raises:
        JobError: the classifier fails on its first image.
    """

    def ignore(number: int, frame: FrameType | None) -> None:
        """Swallows the signal, which uvicorn, having obeyed it, raises again."""

    before = {number: signal.signal(number, ignore) for number in STOPS}
    try:
        Server(app, timeout, ready).run([bound])
    except SystemExit as stop:
        raise JobError("the classifier failed on its first image; see above") from stop
    finally:
        bound.close()
        for number, handler in before.items():
            signal.signal(number, handler)
