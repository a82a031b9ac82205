"""What the server counts of itself, in Prometheus' text form."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from dragon_finetune.serve.gathering import Gatherer

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Meter:
    """Counts requests, texts and tokens, and times answers.

    Args:
        gatherer: whose queue and rounds are told.
    """

    def __init__(self, gatherer: Gatherer) -> None:
        self._registry = CollectorRegistry()
        more: dict[str, Any] = {"registry": self._registry, "namespace": "dragon_finetune"}
        self._requests = Counter("requests", "Requests answered, by path and status.", ("path", "status"), **more)
        self._seconds = Histogram("seconds", "Seconds until an answer, by path.", ("path",), buckets=_SECONDS, **more)
        self.texts = Counter("texts", "Texts embedded.", **more)
        self.tokens = Counter("tokens", "Tokens embedded, prompts and special tokens included.", **more)
        Gauge("waiting_tokens", "Tokens that wait.", **more).set_function(lambda: gatherer.waiting_tokens)
        Gauge("rounds", "Rounds embedded since the start.", **more).set_function(lambda: gatherer.rounds)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count one answer; `path` is one of the server's own, or all others would be counted each by its name."""
        self._requests.labels(path, status).inc()
        self._seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """Return all numbers in Prometheus' text form."""
        return generate_latest(self._registry)
