"""Server process: socket, signals, graceful shutdown."""

import signal
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from crossprompt.errors import JobError, RequestError
from crossprompt.utils.process import STOPS

HEAD_WITHIN = 10.0
"""Seconds for a request's head, from the connection or the last answer on."""


def bind(host: str, port: int) -> socket.socket:
    """Bind a port, 0 for any that is free, before anything is loaded; it does not listen yet.

    Raises:
        RequestError: there is no such host, or the port cannot be bound.
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


class Server(uvicorn.Server):
    """Serves an app until it is stopped, see ``serve``; closes connections that send no request.

    uvicorn itself limits only the pause after an answer, not the time that a request's head takes.
    """

    def __init__(self, app: ASGIApp, timeout: float, ready: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(timeout) + 1,
        )
        super().__init__(config)
        self._ready = ready
        self._waiting = dict[Any, tuple[Any, float]]()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def on_tick(self, counter: int) -> bool:  # ten times a second
        before, self._waiting, now = self._waiting, {}, time.monotonic()
        for connection in list[Any](self.server_state.connections):
            request = connection.cycle  # the last one whose head is complete
            if request is None or request.response_complete:
                last, since = before.get(connection, (request, now))
                since = since if last is request else now  # one came and was answered meanwhile
                self._waiting[connection] = request, since
                if now - since > HEAD_WITHIN:
                    connection.transport.close()
        return await super().on_tick(counter)


def serve(app: ASGIApp, bound: socket.socket, timeout: float, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, then finish the accepted requests; a second SIGINT skips that.

    Args:
        app: the application.
        bound: from ``bind``.
        timeout: seconds that an accepted request may take.
        ready: called once requests are answered.

    Raises:
        JobError: the classifier fails on its first image.
    """

    def ignore(number: int, frame: FrameType | None) -> None:
        """Ignore the signal, which uvicorn raises again after its shutdown."""

    before = {number: signal.signal(number, ignore) for number in STOPS}
    try:
        Server(app, timeout, ready).run([bound])
    except SystemExit as stop:
        raise JobError("the classifier failed on its first image; see above") from stop
    finally:
        bound.close()
        for number, handler in before.items():
            signal.signal(number, handler)
