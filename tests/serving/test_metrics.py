"""Names of what a server counts: dashboards and alarms are built on them."""

from __future__ import annotations

import pytest

from rscovlm.serving.metrics import Metrics

parser = pytest.importorskip("prometheus_client.parser")

NAMES = {
    "rscovlm_requests": "counter",
    "rscovlm_request_seconds": "histogram",
    "rscovlm_generated_tokens": "counter",
    "rscovlm_visual_tokens": "counter",
    "rscovlm_zooms": "counter",
    "rscovlm_connections_refused": "counter",
    "rscovlm_clients_too_slow": "counter",
    "rscovlm_requests_in_flight": "gauge",
    "rscovlm_engine_batches": "gauge",
}


def test_metrics_keep_their_names_kinds_labels_and_bounds() -> None:
    metrics = Metrics(lambda: 7)
    metrics.requests.labels(task="caption", status="200").inc()
    metrics.seconds.observe(0.2)
    metrics.tokens.inc(5)
    metrics.in_flight.inc()
    found = {family.name: family for family in parser.text_string_to_metric_families(metrics.text().decode())}
    # The library adds when each counter began, in a family of its own.
    assert {name: family.type for name, family in found.items() if not name.endswith("_created")} == NAMES
    (asked, *_) = found["rscovlm_requests"].samples
    assert (asked.name, asked.labels, asked.value) == (
        "rscovlm_requests_total", {"task": "caption", "status": "200"}, 1.0,
    )  # fmt: skip
    bounds = [one.labels["le"] for one in found["rscovlm_request_seconds"].samples if one.name.endswith("_bucket")]
    assert [float(bound) for bound in bounds] == [0.1, 0.3, 1, 3, 10, 30, 100, 300, float("inf")]
    assert metrics.value("rscovlm_generated_tokens_total") == 5
    assert metrics.value("rscovlm_engine_batches") == 7 and metrics.value("rscovlm_requests_in_flight") == 1
    assert metrics.value("rscovlm_requests_total", task="caption", status="200") == 1
    assert metrics.value("rscovlm_requests_total", task="caption", status="500") == 0
