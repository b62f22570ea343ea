"""A town library over HTTP, as library.yaml describes it: `python docs/examples/library_server.py`.

Listens on 127.0.0.1:8099. Requests need `Authorization: Bearer letmein`.
"""

import json
import re
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

BOOKS = {
    17: {"number": 17, "title": "The Lighthouse Keeper", "author": "Moor", "year": 1987},
    23: {"number": 23, "title": "Gardens of the North", "author": "Lind", "year": 2004},
    31: {"number": 31, "title": "The Northern Garden", "author": "Moor", "year": 2011},
}
FINES = {93: 2.5}


class Library(BaseHTTPRequestHandler):
    """Answers the operations of library.yaml."""

    def do_GET(self):
        """Search books, show a book, tell a reader's fines."""
        parts, query = urlsplit(self.path), parse_qs(urlsplit(self.path).query)
        if parts.path == "/books":
            words = query.get("words", [""])[0].lower()
            author = query.get("author", [""])[0].lower()
            found = [
                book
                for book in BOOKS.values()
                if words in str(book["title"]).lower() and author in str(book["author"]).lower()
            ]
            self._say(200, found[: int(query.get("limit", ["10"])[0])])
        elif match := re.fullmatch(r"/books/(\d+)", parts.path):
            book = BOOKS.get(int(match[1]))
            self._say(200 if book else 404, book or f"no book {match[1]}")
        elif match := re.fullmatch(r"/readers/(\d+)/fines", parts.path):
            self._say(200, FINES.get(int(match[1]), 0))
        else:
            self._say(404, "no such address")

    def do_POST(self):
        """Lend a book."""
        match = re.fullmatch(r"/books/(\d+)/loans", self.path)
        if not match or int(match[1]) not in BOOKS:
            self._say(404, "no such book")
            return
        loan = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        due = date(2026, 1, 1) + timedelta(days=loan["days"])
        self._say(201, {"book": int(match[1]), "reader": loan["reader"], "due": due.isoformat()})

    def do_DELETE(self):
        """Take a book out of the collection."""
        match = re.fullmatch(r"/books/(\d+)", self.path)
        book = BOOKS.pop(int(match[1]), None) if match else None
        self._say(200 if book else 404, "retired" if book else "no such book")

    def _say(self, status: int, answer: Any) -> None:
        if self.headers["Authorization"] != "Bearer letmein":
            status, answer = 401, "no valid token"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())


if __name__ == "__main__":
    print("the library listens on http://127.0.0.1:8099", flush=True)
    ThreadingHTTPServer(("127.0.0.1", 8099), Library).serve_forever()
