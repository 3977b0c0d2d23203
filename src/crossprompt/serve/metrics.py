"""What the server counts and times, in Prometheus's text format."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

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
