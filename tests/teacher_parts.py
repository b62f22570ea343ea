"""A stand-in for a chat endpoint on this machine, which misbehaves as it is told."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = (
    "<think>The area of a circle is needed; circle_area gives it from the radius.</think>\n"
    '[{"name": "circle_area", "arguments": {"radius": 3}}]'
)


class Teacher(ThreadingHTTPServer):
    """A chat endpoint whose n-th request gets the n-th behaviour, the last one from then on.

    A behaviour is a text, or a function of the request's body that returns one.
    """

    def __init__(self, *behaviours: Any):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours = behaviours
        self.count = self.inside = self.most_inside = 0
        self.bodies: list[dict] = []
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        server: Teacher = self.server  # type: ignore[assignment]
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with server.lock:
            which = server.behaviours[min(server.count, len(server.behaviours) - 1)]
            server.count += 1
            server.inside += 1
            server.most_inside = max(server.most_inside, server.inside)
            server.bodies.append(body)
        which = which(body) if callable(which) else which
        try:
            self._behave(which)
        except BrokenPipeError:
            pass
        finally:
            with server.lock:
                server.inside -= 1

    def _behave(self, which: str) -> None:
        if which.isdigit():
            self.send_response(int(which))
            self.send_header("retry-after", "0.05")
            self.end_headers()
            self.wfile.write(b'{"error": {"message": "no"}}')
            return
        if which.startswith("raw:"):
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self.wfile.write(f"data: {which[4:]}\n\n".encode())
            return
        if which == "slow":
            time.sleep(3)
            return
        time.sleep(0.02)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        text = GOOD if which in ("good", "cut", "garbage") else which
        half = len(text) // 2
        self._chunk({"choices": [{"index": 0, "delta": {"content": text[:half]}}]})
        if which == "cut":
            return
        if which == "garbage":
            self.wfile.write(b"data: {not json\n\n")
            return
        last = {"index": 0, "delta": {"content": text[half:]}, "finish_reason": "stop"}
        self._chunk({"choices": [last]})
        self._chunk({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 10}})
        self.wfile.write(b"data: [DONE]\n\n")

    def _chunk(self, part: dict) -> None:
        head = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m"}
        self.wfile.write(f"data: {json.dumps(head | part)}\n\n".encode())

    def log_message(self, *_):
        pass
