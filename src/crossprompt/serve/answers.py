"""What all answers have in common: headers that keep browsers careful, and being counted."""

import time
from collections.abc import Collection

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crossprompt.serve.metrics import Metrics

HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""The page takes nothing from elsewhere, runs no script but its own, and stands in no frame."""
OTHER = "other"
"""Stands for every path that there is not: else anyone could make up new ones to be counted."""


class Envelope:
    """Adds the headers, and counts and times the answers.

    Args:
        app: what answers.
        paths: that are counted by their name.
        metrics: where they are counted.
    """

    def __init__(self, app: ASGIApp, paths: Collection[str], metrics: Metrics) -> None:
        self.app, self._paths, self._metrics = app, frozenset(paths), metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin = time.perf_counter()
        path = scope["path"] if scope["path"] in self._paths else OTHER

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
                self._metrics.requests.labels(path, message["status"]).inc()
                self._metrics.request_seconds.labels(path).observe(time.perf_counter() - begin)
            await send(message)

        await self.app(scope, receive, send_with_headers)
