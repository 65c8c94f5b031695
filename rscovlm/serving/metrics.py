"""What a server has done so far, as Prometheus reads it."""

from __future__ import annotations

import threading
from collections import Counter

_HELP = {
    "rscovlm_requests_total": ("counter", "Chat requests by task and status."),
    "rscovlm_request_seconds_sum": ("counter", "Time of all chat requests, in seconds."),
    "rscovlm_generated_tokens_total": ("counter", "Tokens the model wrote."),
    "rscovlm_visual_tokens_total": ("counter", "Visual tokens the model was shown by the zoom chain."),
    "rscovlm_zooms_total": ("counter", "Windows the model looked into."),
    "rscovlm_engine_batches_total": ("counter", "Calls of the engine."),
    "rscovlm_connections_refused_total": ("counter", "Connections closed because too many were open."),
    "rscovlm_clients_too_slow_total": ("counter", "Connections cut because no whole request came in time."),
    "rscovlm_requests_in_flight": ("gauge", "Chat requests being answered."),
}


class Metrics:
    """Counters that may be added to from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: Counter[tuple[str, str]] = Counter()

    def add(self, name: str, value: float = 1, labels: str = "") -> None:
        """Add to a counter; ``labels`` is what stands between the braces."""
        with self._lock:
            self._values[name, labels] += value  # type: ignore[assignment]  # a Counter of floats

    def value(self, name: str, labels: str = "") -> float:
        """Return a counter."""
        with self._lock:
            return self._values[name, labels]

    def text(self) -> str:
        """Return the text format, https://prometheus.io/docs/instrumenting/exposition_formats/."""
        with self._lock:
            values = sorted(self._values.items())
        lines = []
        for name, (kind, about) in _HELP.items():
            lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
            own = [(labels, value) for (known, labels), value in values if known == name]
            lines += [f"{name}{{{labels}}} {value:g}" if labels else f"{name} {value:.10g}" for labels, value in own]
            if not own and kind == "gauge":
                lines.append(f"{name} 0")
        return "\n".join(lines) + "\n"
