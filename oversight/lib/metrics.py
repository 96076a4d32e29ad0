"""What a process counts about itself, in the Prometheus client's registry.

Several processes serve one address, so `manage.py serve` names a folder in which they share their
counts (PROMETHEUS_MULTIPROC_DIR) before this module is loaded. What PostgreSQL knows is not
counted here but read when asked (oversight/monitoring).
"""

from prometheus_client import Counter, Histogram

_REQUEST_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

REQUEST_SECONDS = Histogram(
    "oversight_http_request_seconds",
    "Time from a request's arrival at the application to its answer.",
    ["view", "method", "status"],
    buckets=_REQUEST_BUCKETS,
)
RECORDS = Counter(
    "oversight_ingest_records",
    "Records sent, by what became of them.",
    ["outcome"],
)
VERDICTS = Counter("oversight_verdicts", "Verdicts given through this process.")
