"""What a server has done so far, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """The counters of one server.

    Args:
        batches: Tells how often the engine was called.
    """

    def __init__(self, batches: Callable[[], int]) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "rscovlm_requests", "Chat requests by task and status.", ["task", "status"], registry=registry
        )
        self.seconds = Histogram(
            "rscovlm_request_seconds",
            "Time of a chat request, in seconds.",
            buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300),
            registry=registry,
        )
        self.tokens = Counter("rscovlm_generated_tokens", "Tokens the model wrote.", registry=registry)
        self.visual_tokens = Counter(
            "rscovlm_visual_tokens", "Visual tokens the model was shown by the zoom chain.", registry=registry
        )
        self.zooms = Counter("rscovlm_zooms", "Windows the model looked into.", registry=registry)
        self.refused = Counter(
            "rscovlm_connections_refused", "Connections closed because too many were open.", registry=registry
        )
        self.slow = Counter(
            "rscovlm_clients_too_slow", "Clients that sent no whole request in time.", registry=registry
        )
        self.in_flight = Gauge("rscovlm_requests_in_flight", "Chat requests being answered.", registry=registry)
        Gauge("rscovlm_engine_batches", "Calls of the engine.", registry=registry).set_function(batches)

    def value(self, name: str, **labels: str) -> float:
        """Return one sample, 0 if there is none yet."""
        return self._registry.get_sample_value(name, labels) or 0.0

    def text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self._registry)
