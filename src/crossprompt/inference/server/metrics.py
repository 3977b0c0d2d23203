"""What all answers have in common: headers that keep browsers careful, and being counted."""

import time
from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "crossprompt_requests",
            "Requests that were answered.",
            ("path", "status"),
            registry=self.registry,
        )
        self.request_seconds = self._histogram(
            "crossprompt_request_seconds", "From a request's first line to its answer.", ("path",)
        )
        self.images = Counter(
            "crossprompt_images", "Images that were classified.", registry=self.registry
        )
        self.bad_images = Counter(
            "crossprompt_bad_images", "Images that could not be decoded.", registry=self.registry
        )
        self.failures = Counter(
            "crossprompt_failures", "Forward passes that failed.", registry=self.registry
        )
        self.decode_seconds = self._histogram(
            "crossprompt_decode_seconds", "To decode and transform an image."
        )
        self.forward_seconds = self._histogram("crossprompt_forward_seconds", "Of a forward pass.")
        self.batch_images = Histogram(
            "crossprompt_batch_images",
            "Images in a forward pass.",
            buckets=_IMAGES,
            registry=self.registry,
        )

    def watch(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Ask for a value whenever the metrics are read."""
        Gauge(f"crossprompt_{name}", meaning, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)

    def _histogram(self, name: str, meaning: str, labels: tuple[str, ...] = ()) -> Histogram:
        return Histogram(name, meaning, labels, buckets=_SECONDS, registry=self.registry)


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
