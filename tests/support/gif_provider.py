"""A provider of GIFs on this machine: answers as GIPHY's API does, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

from PIL import Image

KEY = "aKeyOfOnesOwn123"


def gif(*colours: str, side: int = 60) -> bytes:
    """Pictures of one colour each, one after the other."""
    made = BytesIO()
    frames = [Image.new("RGB", (side, side), colour) for colour in colours]
    frames[0].save(made, "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)
    return made.getvalue()


def entry(base: str, number: int, **renditions: Any) -> dict[str, Any]:
    """One of an answer; `renditions` in place of those that it has."""
    images = {
        "fixed_width_downsampled": {"url": f"{base}/small{number}.gif", "width": "200", "height": "200", "size": "900"},
        "downsized_large": {"url": f"{base}/large{number}.gif", "width": "480", "height": "480", "size": "1900"},
    }
    return {"id": f"gif{number}", "title": f"Dance {number}", "images": images | renditions}


class GifProvider:
    """What it was asked: paths, with what stands behind the question mark."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[tuple[str, dict[str, list[str]]]] = []

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, str, bytes]:
        """Status, type and body."""
        if path.startswith("/v1/gifs/"):
            if query.get("api_key") != [KEY]:
                return 403, "application/json", b"{}"
            # What is found is told from what was there before.
            title = "Dance" if path.endswith("/search") else "Trend"
            listed = [entry(self.url, number) | {"title": f"{title} {number}"} for number in range(3)]
            return 200, "application/json", json.dumps({"data": listed}).encode()
        colours = ("red", "blue") if path.startswith("/small") else ("green", "black", "white")
        return 200, "image/gif", gif(*colours)


@contextmanager
def gif_provider() -> Iterator[GifProvider]:
    """Serves until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            provider.asked.append((parts.path, query))
            status, kind, body = provider.answer(parts.path, query)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider = GifProvider(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
