"""What a server counts, in the text format of Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100)


class Metrics:
    """The counters of one server. All may be used from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        one = {"registry": self.registry, "namespace": "tinr"}
        self.requests = Counter("requests", "Requests by status of the answer.", ["status"], **one)
        self.tokens = Counter("generated_tokens", "Tokens that the model wrote.", **one)
        self.prompt_tokens = Counter("prompt_tokens", "Tokens of the prompts.", **one)
        self.calls = Counter("tool_calls", "Calls that the model wrote.", **one)
        self.first_token = Histogram(
            "first_token_seconds", "Time to the first token.", buckets=SECONDS, **one
        )
        self.reply = Histogram("reply_seconds", "Time of a whole reply.", buckets=SECONDS, **one)
        self._replies = Gauge("replies", "Open replies by state.", ["state"], **one)

    def show(self, running: int, waiting: int, away: int) -> None:
        """Say how many replies run, wait for a row, and wait for their tools."""
        for state, count in (("running", running), ("waiting", waiting), ("in_tools", away)):
            self._replies.labels(state).set(count)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)
