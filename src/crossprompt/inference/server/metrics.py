"""Prometheus metrics, and the middleware that counts responses and adds security headers."""

import time
from collections.abc import Collection
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crossprompt.inference.server.limits import Admission

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_IMAGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


class Metrics:
    """Metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Answered requests.", ("path", "status"))
        self.images = self._counter("images", "Classified images.")
        self.bad_images = self._counter("bad_images", "Images that could not be decoded.")
        self.failures = self._counter("failures", "Forward passes that failed.")
        self.request_seconds = self._histogram(
            "request_seconds", "From a request's first line to its answer.", labels=("path",)
        )
        self.decode_seconds = self._histogram(
            "decode_seconds", "Decoding and transforming an image."
        )
        self.forward_seconds = self._histogram("forward_seconds", "Forward pass.")
        self.batch_images = self._histogram("batch_images", "Images in a forward pass.", _IMAGES)

    def watch(self, admission: Admission) -> None:
        """Report what unanswered requests hold whenever the metrics are read."""
        for name in admission.held:
            gauge = Gauge(
                f"crossprompt_{name}_held",
                f"{name.capitalize()} of requests that are not yet answered.",
                registry=self.registry,
            )
            gauge.set_function(partial(admission.held.__getitem__, name))

    def _counter(self, name: str, meaning: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"crossprompt_{name}", meaning, labels, registry=self.registry)

    def _histogram(
        self,
        name: str,
        meaning: str,
        buckets: tuple[float, ...] = _SECONDS,
        labels: tuple[str, ...] = (),
    ) -> Histogram:
        return Histogram(
            f"crossprompt_{name}", meaning, labels, buckets=buckets, registry=self.registry
        )


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
"""Counted in place of a path that does not exist: clients could make up any number of them."""


class Middleware:
    """Adds the headers, and counts and times the responses.

    Args:
        app: answers; also its own failures must pass through here.
        paths: counted by their names.
        metrics: to count in.
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
