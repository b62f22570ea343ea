"""An OpenAI-compatible server: chat completions of a model that needs no tools in its prompt."""

from tinr.serve.app import Counter, bind, make_app, run_server
from tinr.serve.desk import Desk
from tinr.serve.exchange import Reader, with_candidates_of_requests

__all__ = [
    "Counter",
    "Desk",
    "Reader",
    "bind",
    "make_app",
    "run_server",
    "with_candidates_of_requests",
]
