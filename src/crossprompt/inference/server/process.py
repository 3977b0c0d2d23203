"""The server as a process: its socket, its signals, its end."""

import asyncio
import errno
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from crossprompt.errors import JobError, RequestError
from crossprompt.inference.server.metrics import Envelope
from crossprompt.utils.process import STOPS

HEAD_WITHIN = 10.0
"""Seconds in which a client that has begun to talk must have sent a request's head."""


def bind(host: str, port: int) -> socket.socket:
    """Take a port, before anything is loaded; nobody is listened to yet.

    Args:
        host: a name or an address.
        port: 0 for any that is free.

    Raises:
        RequestError: it cannot be had.
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
        raise RequestError(_explain(error, host, port)) from error
    return found


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use; stop what uses it or choose another with --port"
    if error.errno == errno.EACCES:
        return f"port {port} needs more rights than yours; choose one above 1023 with --port"
    return f"cannot listen on port {port} of {host}: {error.strerror}"


def address_of(bound: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class PatientProtocol(H11Protocol):
    """HTTP that hangs up on who sends a request's head too slowly, or never."""

    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Go on waiting, from the first byte on, unless the head is complete."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left to wait for."""
        super().connection_lost(exc)
        self._forget()

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif self._due is None:
            self._due = self.loop.call_later(HEAD_WITHIN, self.transport.close)

    def _forget(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None


class Server(uvicorn.Server):
    """Serves an app on a socket until it is told to stop.

    Args:
        app: what answers.
        timeout: seconds that a request may take altogether.
        ready: called once requests are answered.
    """

    def __init__(self, app: Envelope, timeout: float, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=PatientProtocol,
                ws="none",
                lifespan="on",
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=int(timeout) + 1,
            )
        )
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()


def serve(app: Envelope, bound: socket.socket, timeout: float, ready: Callable[[], None]) -> None:
    """Answer until SIGINT or SIGTERM, then finish what was accepted; a second SIGINT hurries.

    Args:
        app: what answers.
        bound: from ``bind``.
        timeout: seconds that an accepted request may take.
        ready: called once requests are answered.

    Raises:
        JobError: the classifier fails on its first image.
    """

    def pass_over(number: int, frame: FrameType | None) -> None:
        """uvicorn raises its signals again when it is done, which is to be the end of them."""

    before = {number: signal.signal(number, pass_over) for number in STOPS}
    try:
        Server(app, timeout, ready).run([bound])
    except SystemExit as stop:
        raise JobError("the classifier failed on its first image; see above") from stop
    finally:
        bound.close()
        for number, handler in before.items():
            signal.signal(number, handler)
