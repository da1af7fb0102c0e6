"""What a portal makes of requests as no browser sends them: its page, its explorer and its API, over one server."""

from __future__ import annotations

from pathlib import Path

import pytest

from allium.portal.page_files import PageFiles, Surroundings
from tests.support import explorer, odd_http
from tests.support.explorer import ExplorerUnderTest, world_of


def test_requests_as_no_browser_sends_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    page, data = tmp_path / "page", tmp_path / "data"
    (page / "assets").mkdir(parents=True)
    data.mkdir()
    (page / "index.html").write_text("<!doctype html><title>It</title>")
    (page / "assets" / "a.js").write_text("go()")
    (tmp_path / "secret").write_text("s3cret")
    monkeypatch.setattr(explorer, "_api", PageFiles(Surroundings(), 1, page).beside(explorer._api))
    made = ExplorerUnderTest(*world_of(4), data)
    try:
        host = made.url.removeprefix("http://")
        odd_http.pester(host, b"s3cret")
        statuses, came = odd_http.asked(host, odd_http.REQUESTS["many at once"], odd_http.MANY)
        assert statuses == [200] * odd_http.MANY and b"<title>It</title>" in came
        for end in ("/%00", "/..%2f..%2fsecret", "//", "/node/%ff", "/node/%00", "?%00=%ff", "?page=-1&sort=%00"):
            path = f"/explorer{end}"
            statuses, came = odd_http.asked(host, odd_http.target(path))
            assert statuses[0] < 500 and b"s3cret" not in came, path
    finally:
        made.close()
    said = capfd.readouterr()
    assert "a request failed" not in said.out + said.err and "Traceback" not in said.out + said.err
