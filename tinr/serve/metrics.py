"""A server's metrics, in the text format of Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tinr.serve.draft import Written

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100)


class Metrics:
    """The metrics of one server. They can be used from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        one = {"registry": self.registry, "namespace": "tinr"}
        self.requests = Counter("requests", "Requests by response status.", ["status"], **one)
        self.tokens = Counter("generated_tokens", "Tokens that the model wrote.", **one)
        self.prompt_tokens = Counter("prompt_tokens", "Tokens of the prompts.", **one)
        self.calls = Counter("tool_calls", "Calls that the model wrote.", **one)
        self.first_token = Histogram(
            "first_token_seconds", "Time to the first token.", buckets=SECONDS, **one
        )
        self.reply = Histogram("reply_seconds", "Time of a whole reply.", buckets=SECONDS, **one)
        self._replies = Gauge("replies", "Open replies by state.", ["model", "state"], **one)

    def show(self, model: str, running: int, waiting: int, away: int) -> None:
        """Set how many replies run, wait for a row, and wait for their tools."""
        for state, count in (("running", running), ("waiting", waiting), ("in_tools", away)):
            self._replies.labels(model, state).set(count)

    def count(self, written: Written, first_token: float | None) -> None:
        """Count a finished reply. first_token: seconds to the first token."""
        conversation = written.conversation
        self.prompt_tokens.inc(len(conversation.prompt))
        self.tokens.inc(sum(conversation.row.mask))
        self.calls.inc(len(conversation.reply.calls))
        self.reply.observe(conversation.seconds)
        if first_token is not None:
            self.first_token.observe(first_token)

    def text(self) -> bytes:
        """Return all metrics, as Prometheus reads them."""
        return generate_latest(self.registry)
