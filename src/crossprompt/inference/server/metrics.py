"""Prometheus metrics, and the middleware that counts responses and adds security headers."""

import time
from collections.abc import Collection
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crossprompt.inference.server.limits import Admission

NAMESPACE = "crossprompt"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_IMAGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


class Metrics:
    """Metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, namespace=NAMESPACE, registry=self.registry)
        histogram = partial(Histogram, namespace=NAMESPACE, registry=self.registry)
        seconds = partial(histogram, buckets=_SECONDS)
        self.requests = counter("requests", "Answered requests.", ("path", "status"))
        self.images = counter("images", "Classified images.")
        self.bad_images = counter("bad_images", "Images that could not be decoded.")
        self.failures = counter("failures", "Forward passes that failed.")
        self.request_seconds = seconds("request_seconds", "Request to response.", ("path",))
        self.decode_seconds = seconds("decode_seconds", "Decoding and transforming an image.")
        self.forward_seconds = seconds("forward_seconds", "Forward pass.")
        self.batch_images = histogram("batch_images", "Images in a batch.", buckets=_IMAGES)

    def watch(self, admission: Admission) -> None:
        """Report what unanswered requests hold whenever the metrics are read."""
        for name in admission.held:
            meaning = f"{name.capitalize()} of unanswered requests."
            gauge = Gauge(f"{name}_held", meaning, namespace=NAMESPACE, registry=self.registry)
            gauge.set_function(partial(admission.held.__getitem__, name))


HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""The page loads nothing from elsewhere, runs no script but its own, and stands in no frame."""
OTHER = "other"
"""Label of paths that do not exist: clients could make up any number of them."""


class Middleware:
    """Adds ``HEADERS`` to all responses of an app, also to its failures, and measures them.

    ``paths`` are counted by name, all others as ``OTHER``.
    """

    def __init__(self, app: ASGIApp, paths: Collection[str], metrics: Metrics) -> None:
        self.app, self._paths, self._metrics = app, frozenset(paths), metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
