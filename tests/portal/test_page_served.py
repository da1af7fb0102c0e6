"""The page as files: how a portal serves them, whether they are ours, and anywhere else."""

from __future__ import annotations

import contextlib
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect

from allium.portal.page_files import DIRECTORY, ROUTES, content_hash, hashes
from tests.support.browser import Tab
from tests.support.command import allium
from tests.support.portal_page import PageWorld, WalletTab

Open = Callable[..., WalletTab]


def got(url: str, **headers: str) -> tuple[bytes, Any]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        return answer.read(), answer.headers


def test_files_are_served_strictly_and_are_those_of_the_package(page_world: PageWorld) -> None:
    url, index = page_world.url, (DIRECTORY / "index.html").read_bytes()
    for path in ("/", *(f"/{name}" for name in ROUTES), f"/stake/{page_world.chain.addresses.pool}", "/register/00"):
        body, headers = got(f"{url}{path}")
        assert body == index and headers["cache-control"] == "no-cache"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "connect-src 'self';" in policy
        assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert b"<script>" not in index and b"style=" not in index
    script = next(path for path in hashes() if path.endswith(".js"))
    body, headers = got(f"{url}/{script}")
    assert "immutable" in headers["cache-control"] and headers["content-type"].startswith("text/javascript")
    packed, headers = got(f"{url}/{script}", **{"accept-encoding": "gzip"})
    assert headers["content-encoding"] == "gzip" and len(packed) < len(body)
    for path in ("/assets/../../portal.toml", "/assets/nothing.js", "/index.html/.."):
        with contextlib.suppress(urllib.error.HTTPError):
            assert b"l2_rpc" not in got(f"{url}{path}")[0]
    said = allium("portal", "verify", url)
    assert said.returncode == 0 and content_hash(hashes()) in said.stdout, said
    assert "It is the page of this package" in said.stdout


def test_a_page_anywhere_works_with_any_backend_and_a_changed_one_is_found(
    page_world: PageWorld, browser: Browser, tmp_path: Path
) -> None:
    said = allium("portal", "page", str(tmp_path), "--backend", page_world.url, "--chain-id", "31337")
    assert said.returncode == 0 and f"connect-src 'self' {page_world.url};" in said.stdout, said
    with served(tmp_path) as url:
        tab = Elsewhere(browser, url, page_world.url)
        expect(tab.page.get_by_text("Staked in all")).to_be_visible()
        tab.page.goto(f"{url}/pool")
        expect(tab.page.get_by_role("heading", name="Rewards and the pool")).to_be_visible()
        tab.close()
        said = allium("portal", "verify", url)
        assert said.returncode == 0, said
        script = next(path for path in hashes() if path.endswith(".js"))
        (tmp_path / script).write_bytes((tmp_path / script).read_bytes() + b"//")
        said = allium("portal", "verify", url)
        assert said.returncode == 1 and f"/{script} is different" in said.stderr, said


class Elsewhere(Tab):
    """A page that asks a backend at another place."""

    def __init__(self, browser: Browser, url: str, backend: str) -> None:
        self._backend = backend
        super().__init__(browser, url)

    def opening(self) -> None:
        """See `Tab`."""
        self.hosts.add(self._backend.removeprefix("http://"))


@contextlib.contextmanager
def served(directory: Path) -> Iterator[str]:
    """A web server of files, which gives `404.html` for what is none."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(directory))

        def send_head(self) -> Any:
            if not Path(self.translate_path(self.path)).exists():
                self.path = "/404.html"
            return super().send_head()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
